package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

func (c *cli) print(format string, args ...any) error {
	_, err := fmt.Fprintf(c.out, format, args...)
	return err
}

func (c *cli) json(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes aligned columns; a cell with a line break would tear it. In a
// terminal the last column is wrapped at its edge, below itself.
func (c *cli) table(rows ...[]string) error {
	before := make([]int, 0, 8) // the widths of all columns but the last
	for _, r := range rows {
		for i := range r {
			r[i] = strings.Join(strings.Fields(printable(r[i])), " ")
		}
		for i, cell := range r[:len(r)-1] {
			if i == len(before) {
				before = append(before, 0)
			}
			before[i] = max(before[i], utf8.RuneCountInString(cell))
		}
	}
	left := 0
	for _, n := range before {
		left += n + 2
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		last := len(r) - 1
		for i, line := range wrap(r[last], c.width-left) {
			if i == 0 {
				line = strings.Join(append(slices.Clone(r[:last]), line), "\t")
			} else {
				line = strings.Repeat("\t", last) + line
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// printable is a text without what a terminal obeys: a reason, or a server's
// message, may hold anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// wrap breaks a text between words into lines of at most width runes, longer
// words apart. A terminal too narrow for that, and none at all, get one line.
func wrap(text string, width int) []string {
	if width < 20 {
		return []string{text}
	}
	lines, used := []string{""}, 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch last := len(lines) - 1; {
		case used == 0:
			lines[last], used = word, n
		case used+1+n > width:
			lines, used = append(lines, word), n
		default:
			lines[last], used = lines[last]+" "+word, used+1+n
		}
	}
	return lines
}

// widthOf is where the lines of a terminal end: $COLUMNS, or the 80 that every
// terminal has. 0 for all that is no terminal, so that what is piped stays
// one line for each row.
func widthOf(w io.Writer, columns string) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0
	}
	if n, err := strconv.Atoi(columns); err == nil && n > 0 {
		return n
	}
	return 80
}

func (c *cli) checkTable(res runner.CheckResult) error {
	rows := [][]string{{"GATE", "STATE", "AGE", "WAITING", "REASON"}}
	said := map[string]string{} // a side that cannot be read closes two dozen gates with one sentence
	for _, g := range res.Gates {
		age, wait := "-", "cannot"
		if g.EvidenceAge >= 0 {
			age = fmt.Sprintf("%.1fs", g.EvidenceAge)
		}
		if g.WaitingHelps {
			wait = "helps"
		}
		if g.State == runner.GateOpen {
			wait = ""
		}
		reason := g.Reason
		if first, again := said[reason]; again && g.State != runner.GateOpen {
			reason = "as " + first
		} else {
			said[reason] = g.Name
		}
		rows = append(rows, []string{g.Name, string(g.State), age, wait, reason})
	}
	if err := c.table(rows...); err != nil {
		return err
	}
	verdict := map[runner.Readiness]string{
		runner.Open:    "every gate is open",
		runner.Waiting: "not now: waiting can help",
		runner.Never:   "not like this: waiting cannot help",
	}[res.Readiness]
	plan := res.PlanHash
	if plan == "" {
		plan = "none"
	}
	if res.PlanError != "" {
		plan = "none: " + res.PlanError
		if first, again := said[res.PlanError]; again {
			plan = "none: see " + first
		}
	}
	return c.print("\n%s: %s\nplan: %s\n", res.DAG, verdict, plan)
}

func (c *cli) planTable(p runner.PlanResult) error {
	what := "cutover"
	if p.Drill {
		what = "drill"
	}
	if err := c.print("%s of %s (%s), mode %s\nhash %s\ndatabases: %s\n\n", what, p.DAG, p.Group, p.Mode, p.Hash, strings.Join(p.Databases, ", ")); err != nil {
		return err
	}
	for _, s := range p.Steps {
		if err := c.print("%s\n", s.Text); err != nil {
			return err
		}
		if err := c.statements("    ", s.Statement); err != nil {
			return err
		}
	}
	if len(p.Steps) == 0 {
		if err := c.statements("", p.Statements); err != nil {
			return err
		}
	}
	for _, n := range p.Notes {
		if err := c.print("note: %s\n", n); err != nil {
			return err
		}
	}
	return c.unconfirmed(p)
}

// unconfirmed prints what the plan's steps rest on that no public documentation
// states.
func (c *cli) unconfirmed(p runner.PlanResult) error {
	if len(p.Unconfirmed) == 0 {
		return nil
	}
	what := "run"
	if p.Drill {
		what = "drill"
	}
	if err := c.print("\nnot confirmed by public documentation, and found out by this %s:\n", what); err != nil {
		return err
	}
	rows := make([][]string, 0, len(p.Unconfirmed))
	for _, u := range p.Unconfirmed {
		rows = append(rows, []string{"step " + u.Step, u.Text})
	}
	return c.table(rows...)
}

func (c *cli) statements(indent string, list []runner.Statement) error {
	for _, st := range list {
		note := ""
		if st.Note != "" {
			note = " (" + st.Note + ")"
		}
		sql := strings.ReplaceAll(strings.TrimSpace(st.SQL), "\n", "\n"+indent+"  ")
		if err := c.print("%son the %s%s:\n%s  %s\n", indent, st.Side, note, indent, sql); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) statusTable(list []runner.Status) error {
	rows := [][]string{{"DAG", "MODE", "PHASE", "CONVERGENCE", "DATABASES", "ARMED", "PAGES"}}
	for _, s := range list {
		rows = append(rows, []string{s.DAG, string(s.Mode), s.Phase, s.Convergence, fmt.Sprintf("%d of %d", s.Equal, s.Total), armed(s.Arming), fmt.Sprint(len(s.Pages))})
	}
	return c.table(rows...)
}

func armed(a *runner.Arming) string {
	switch {
	case a == nil:
		return "no"
	case a.Spent != "":
		return "spent on " + a.Spent
	case a.Drill:
		return fmt.Sprintf("for a drill by %s until %s", a.By, stamp(a.Until))
	}
	return fmt.Sprintf("by %s until %s", a.By, stamp(a.Until))
}

func (c *cli) statusText(s runner.Status) error {
	lease := "not held"
	if s.Lease.Held {
		lease = fmt.Sprintf("held by %s until %s", s.Lease.Alert, stamp(s.Lease.Until))
	}
	held := "no"
	if s.Held != nil {
		held = fmt.Sprintf("by %s since %s %s", s.Held.By, stamp(s.Held.At), s.Held.Reason)
	}
	rows := [][]string{
		{"DAG", fmt.Sprintf("%s (%s), mode %s", s.DAG, s.Group, s.Mode)},
		{"phase", s.Phase},
		{"reason", s.Reason},
		{"convergence", fmt.Sprintf("%s, %d of %d databases caught up", s.Convergence, s.Equal, s.Total)},
		{"source", side(s.Source)},
		{"target", side(s.Target)},
		{"alert lease", lease + ", heartbeat last seen " + stamp(s.PipelineSeen)},
		{"armed", armed(s.Arming)},
		{"approvals", fmt.Sprint(len(s.Approvals))},
		{"held", held},
		{"readiness", string(s.Readiness)},
	}
	if s.Arming != nil && len(s.Checklist) > 0 {
		rows = append(rows, []string{"checklist", "not declared done: " + strings.Join(s.Checklist, "; ")})
	}
	if s.Run != "" {
		rows = append(rows, []string{"run", fmt.Sprintf("%s (%s) since %s, write-unavailable %.1f s", s.Run, s.RunKind, stamp(s.RunStarted), s.WriteUnavailable)})
	}
	if s.LastRun != "" && s.LastRun != s.Run {
		rows = append(rows, []string{"last run", strings.TrimSpace(s.LastRun + " " + string(s.LastOutcome))})
	}
	for _, g := range s.Gates {
		if g.State != runner.GateOpen {
			rows = append(rows, []string{"gate " + g.Name, fmt.Sprintf("%s: %s", g.State, g.Reason)})
		}
	}
	if err := c.table(rows...); err != nil {
		return err
	}
	return c.pages(s)
}

func side(s runner.SideStatus) string {
	if s.Error != "" {
		return s.AG + ": " + s.Error
	}
	role := s.Role
	if role == "" {
		role = "role unknown"
	}
	text := fmt.Sprintf("%s on %s: %s", s.AG, s.Server, role)
	if s.Modes != "" {
		text += "; " + s.Modes
	}
	return text
}

// pages prints what a human has to do.
func (c *cli) pages(s runner.Status) error {
	for _, p := range s.Pages {
		if err := c.print("\nA HUMAN IS NEEDED (%s, %s)\n%s\n", s.DAG, stamp(p.At), p.Text); err != nil {
			return err
		}
		for _, cond := range p.Conditions {
			if err := c.print("  first: %s\n", cond); err != nil {
				return err
			}
		}
		if err := c.statements("  ", p.Statements); err != nil {
			return err
		}
	}
	return nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
