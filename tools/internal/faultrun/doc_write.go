package faultrun

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Document is docs/fault-matrix.md: what a run of everything found.
type Document struct {
	Matrix   Table
	Settings []SettingRow
}

// SettingRow is one row of the table of assumptions.
type SettingRow struct {
	Setting string
	Plain   string // class of the undisturbed run
	Hit     string // what was disturbed
	Ended   string // class of that
}

const documentHead = `# Fault matrix

Written by ` + "`soak --matrix --write`" + `; do not edit. ` + "`make accept`" + ` runs a part of it and compares.

Each cell is one run of the real ` + "`cutover_webhook serve`" + ` against the [lab](lab.md), over TDS, with its journal on a file system, while a client inserts rows into
` + "`dbo.ledger`" + ` all the time (on the side that the hooks point it to, and now and then on the other one). At the step of the row the webhook is killed with ` + "`kill -9`" + `; then it is
started again. The rest heals a second after that.

Columns: what is disturbed at the step. *killed at once*: the webhook dies while its request is on the wire. *reset*: its connection is reset; *lost answer*: the connection stays open and
silent; *link cut*: the path between the two sides breaks; *freeze*: the server of the step hangs. In these four the webhook sees that, and dies at its next sign of life or after a
quarter of a second. In each cell three ends: the step was **applied; not applied; applied late** (by 3 s, when it is running again, where ` + "`settle`" + ` is 4.5 s).

What an end has to show: the run says *done*, *aborted*, *rolled back* or *drilled*, or was closed by a person who typed what a page named, when what the page demands was true. Exactly one side is PRIMARY,
the one that the run says; no sample of both roles (every 4 ms) ever showed two; RSSTC is 0 on both sides; no run id is left in master; S3 was not sent to both sides; every id that was acknowledged
to the client is in ` + "`dbo.ledger`" + ` of the primary; the primary takes a row, the other side none.

Ends: **done**: the target is PRIMARY. **back**: the source is PRIMARY, as before (aborted, rolled back; a drill always ends so). **by hand**: with statements that a page named.
"done or back": both were seen; which one depends on what the machine was doing.

## Steps

`

// Markdown of the document.
func (d Document) Markdown() string {
	var b strings.Builder
	b.WriteString(documentHead)
	b.WriteString(d.Matrix.Markdown())
	fmt.Fprintf(&b, "\n%d steps × %d disturbances × %d effects.\n", len(Boundaries), len(Wires), len(Effects))
	fmt.Fprintf(&b, `
## Assumptions

The lab's [switches](lab.md#assumptions-and-their-alternatives) and three pairs of versions, in %d settings that hold every pair of values of every two of them. Each is run undisturbed, and once more with one
disturbance at a step that a seed chooses. "not started": a gate stayed closed, and said why; nothing was touched.

| versions, switches at their alternative | undisturbed | disturbance | ended |
|---|---|---|---|
`, len(d.Settings))
	for _, r := range d.Settings {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Setting, r.Plain, r.Hit, r.Ended)
	}
	b.WriteString(`
## Random schedules

` + "`make soak`" + ` goes on by seeds until something ends badly: up to three disturbances at any step, killed or not, healed after up to 2.5 s or, now and then, after 11 to 15 s (long enough for pages); drills; a client that
no hook stops; other versions; other assumptions; faults of the lab by its clock (cuts, slow links, freezes, restarts, refused logins, suspended databases, open transactions, load, clocks, lost, late and refused
statements). ` + "`make accept`" + ` runs the first seeds. A bad end is printed with its seed, the commit, the steps, the roles, the webhook's log and the command that does it again.
`)
	return b.String()
}

// ReadDocument reads what Markdown wrote.
func ReadDocument(path string) (Document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Document{}, err
	}
	d := Document{Matrix: ParseTable(string(text))}
	_, rest, _ := strings.Cut(string(text), "## Assumptions")
	for line := range strings.Lines(rest) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if len(f) == 4 && strings.Contains(f[0], "→") {
			d.Settings = append(d.Settings, SettingRow{strings.TrimPrefix(f[0], "| "), f[1], f[2], strings.TrimSuffix(f[3], " |")})
		}
	}
	return d, nil
}

// AddSettings takes in the results of AssumptionCases, in their order.
func (d *Document) AddSettings(results []Result) {
	for i, s := range Settings() {
		if 2*i+1 >= len(results) {
			return
		}
		plain, hit := results[2*i], results[2*i+1]
		struck := strings.Join(hit.Struck, "; ")
		if struck == "" {
			struck = "not reached"
		}
		d.Settings = append(d.Settings, SettingRow{s.String(), plain.Class, struck, hit.Class})
	}
}

// Differs says what of a result the table does not have; "" if it has it.
func (t Table) Differs(c Cell, class string) string {
	have := t[c.Boundary.Name()][c.Column()]
	if slices.Contains(have, class) {
		return ""
	}
	return fmt.Sprintf("%s ended as %q, docs/fault-matrix.md says %q", c.Case().Name, class, strings.Join(have, " or "))
}
