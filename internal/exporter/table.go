package exporter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Look reads the DAGs of these names, or all of them, once, and returns what
// came of it in the configuration's order.
func (e *Exporter) Look(ctx context.Context, names ...string) ([]*collector.Snapshot, error) {
	s, release := e.current()
	defer release()
	dags := s.dags
	if len(names) > 0 {
		dags = nil
		for _, name := range names {
			d := s.byName(name)
			if d == nil {
				return nil, fmt.Errorf("the configuration has no DAG %q", name)
			}
			dags = append(dags, d)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.opt.Timeout)
	defer cancel()
	return scrapeAll(ctx, wantOf(e.opt.Groups), dags), nil
}

// TableOptions of Table.
type TableOptions struct {
	Colour bool // ANSI escapes
	Rows   int  // most databases shown of each DAG; 0 is all
}

// Table shows snapshots in a terminal, worst first: the DAGs, and in each its
// databases with what the migration guide has people stare at. Nothing in it
// but the colours can move a cursor, whatever names the servers have.
func Table(snapshots []*collector.Snapshot, opt TableOptions) string {
	var b strings.Builder
	list := slices.Clone(snapshots)
	slices.SortStableFunc(list, func(x, y *collector.Snapshot) int {
		return int(x.Convergence.Level) - int(y.Convergence.Level)
	})
	for i, s := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		opt.dag(&b, s)
	}
	return b.String()
}

func (o *TableOptions) dag(b *strings.Builder, s *collector.Snapshot) {
	c := &s.Convergence
	head := []string{plain(s.DAG) + "  " + o.paint(c.State, strings.ToUpper(string(c.State)))}
	if c.Direction != hadr.DirectionUnknown {
		head = append(head, "direction "+string(c.Direction))
	}
	head = append(head, fmt.Sprintf("%d databases", len(c.Databases)))
	if c.Skew.OK {
		head = append(head, "read within "+c.Skew.V.Round(time.Millisecond).String())
	}
	fmt.Fprintln(b, strings.Join(head, "  |  "))
	if c.Reason != "" { // a line for each, so that none is lost at the terminal's edge
		for part := range strings.SplitSeq(plain(c.Reason), "; ") {
			fmt.Fprintln(b, "  "+part)
		}
	}
	sides := grid{{cells: []string{"SIDE", "READ", "ROLE IN THE DAG", "INSTANCE", "ITS AG", "TOOK"}}}
	for _, side := range []struct {
		name hadr.Side
		r    *collector.SideResult
	}{{hadr.Source, &s.Source}, {hadr.Target, &s.Target}} {
		r := row{cells: []string{string(side.name), "yes", "", "", "", side.r.Duration.Round(time.Millisecond).String()}}
		if reading := side.r.Reading; reading == nil {
			r.cells[1], r.state = "NO: "+side.r.Reason, hadr.StateUnknown
		} else {
			r.cells[2], r.cells[3], r.cells[4] = known(string(reading.DAG.Role)), plain(reading.Identity.ServerName), plain(reading.Local.Name)
		}
		sides = append(sides, r)
	}
	sides.write(b, o)
	if len(c.Databases) == 0 {
		return
	}
	worst := slices.Clone(c.Databases)
	slices.SortStableFunc(worst, func(x, y hadr.DatabaseConvergence) int { return int(x.Level) - int(y.Level) })
	shown := worst
	if o.Rows > 0 && len(worst) > o.Rows {
		shown = worst[:o.Rows]
	}
	dbs := grid{{cells: []string{"DATABASE", "STATE", "LSN", "SOURCE", "TARGET", "DISTANCE", "SEND QUEUE", "REDO QUEUE", "SOURCE IS", "TARGET IS", "WHY NOT BETTER"}}}
	above := saidOfAll(c)
	for i := range shown {
		dbs = append(dbs, databaseRow(&shown[i], c.Primary(), above))
	}
	dbs.write(b, o)
	if n := len(worst) - len(shown); n > 0 {
		fmt.Fprintf(b, "  and %d more, none of them worse than %s\n", n, worst[len(shown)].State)
	}
}

const reasonEnd = "; " // between the parts of a Reason

// saidOfAll are the reasons that every database has and the head shows: in
// the rows they would only push out what tells one database from another.
func saidOfAll(c *hadr.Convergence) map[string]bool {
	said := map[string]bool{}
	for part := range strings.SplitSeq(c.Reason, reasonEnd) {
		said[part] = true
		for i := range c.Databases { // the head's first reason stands behind a name
			if rest, ok := strings.CutPrefix(part, c.Databases[i].Name+": "); ok {
				said[rest] = true
			}
		}
	}
	for i := range c.Databases {
		parts := strings.Split(c.Databases[i].Reason, reasonEnd)
		maps.DeleteFunc(said, func(part string, _ bool) bool { return !slices.Contains(parts, part) })
	}
	return said
}

// why is a database's reason without what is said above of all.
func why(reason string, above map[string]bool) string {
	parts := strings.Split(reason, reasonEnd)
	own := slices.DeleteFunc(slices.Clone(parts), func(part string) bool { return above[part] })
	if len(own) == 0 {
		return "as above"
	}
	return strings.Join(own, reasonEnd)
}

// databaseRow is one line of the table; above is what it leaves out.
func databaseRow(d *hadr.DatabaseConvergence, primarySide hadr.Side, above map[string]bool) row {
	// What the guide compares, as long as both sides know it.
	column, source, target, delta := "hardened", d.SourceHardened, d.TargetHardened, d.Hardened
	if !delta.Known() && d.EndOfLog.Known() {
		column, source, target, delta = "end of log", d.SourceEndOfLog, d.TargetEndOfLog, d.EndOfLog
	}
	primary, forwarder := d.Source, d.Target
	if primarySide == hadr.Target {
		primary, forwarder = d.Target, d.Source
	}
	send, redo := hadr.Opt[int64]{}, hadr.Opt[int64]{}
	if primarySide != "" {
		redo = hadr.RedoQueue(primary, forwarder)
		if primary != nil && primary.Link != nil {
			send = primary.Link.SendQueue
		}
	}
	return row{state: d.State, cells: []string{plain(d.Name), string(d.State), column, lsn(source), lsn(target), distance(delta),
		size(send), size(redo), copyState(d.Source), copyState(d.Target), plain(why(d.Reason, above))}}
}

const unknown = "unknown"

func known(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

func lsn(l hadr.LSN) string {
	if !l.Known() {
		return unknown
	}
	return l.String()
}

// distance in the largest unit that differs; primary minus forwarder.
func distance(d hadr.Delta) string {
	switch {
	case !d.Known():
		return unknown
	case d.Zero():
		return "0"
	case d.VLFs.OK && d.VLFs.V != 0:
		return fmt.Sprintf("%+d VLFs", d.VLFs.V)
	case d.Blocks.OK && d.Blocks.V != 0:
		return fmt.Sprintf("%+d blocks", d.Blocks.V)
	}
	return fmt.Sprintf("%+d slots", d.Exact)
}

func size(v hadr.Opt[int64]) string {
	if !v.OK {
		return unknown
	}
	n, unit := float64(v.V), 0
	for n >= 1024 && unit < 4 {
		n, unit = n/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", v.V)
	}
	return fmt.Sprintf("%.1f %ciB", n, "KMGT"[unit-1])
}

func copyState(d *hadr.Database) string {
	switch {
	case d == nil:
		return "absent"
	case d.Own == nil:
		return known(string(d.State))
	case d.Own.Suspended.OK && d.Own.Suspended.V:
		return "suspended"
	}
	return known(string(d.Own.Sync))
}

// plain takes out of a text what a terminal would act on.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// oneLine is plain, with control characters as the given rune, which itself
// may stand.
func oneLine(s string, instead rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return instead
		}
		return r
	}, s)
}

var colours = map[hadr.State]string{
	hadr.StateSynchronized: "1;32", hadr.StateCaughtUp: "32", hadr.StateNear: "36", hadr.StateBehind: "33", hadr.StateUnknown: "31",
	hadr.StateDemoted: "35", hadr.StateFailedOver: "34", hadr.StateSplit: "1;31", hadr.StateDiverged: "1;31",
}

func (o *TableOptions) paint(state hadr.State, text string) string {
	code := colours[state]
	if !o.Colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// grid is rows of equally many cells, the first one the headings.
type grid []row

type row struct {
	cells []string
	state hadr.State // colours the row
}

func (g grid) write(b *strings.Builder, o *TableOptions) {
	width := make([]int, len(g[0].cells))
	for _, r := range g {
		for i, c := range r.cells {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range g {
		var line strings.Builder
		for i, c := range r.cells {
			line.WriteString(c)
			if i < len(r.cells)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintln(b, "  "+o.paint(r.state, strings.TrimRight(line.String(), " ")))
	}
}
