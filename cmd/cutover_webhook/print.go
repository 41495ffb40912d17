package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

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

// table writes aligned columns; a cell with a line break would tear it.
func (c *cli) table(rows ...[]string) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i := range r {
			r[i] = strings.Join(strings.Fields(r[i]), " ")
		}
		if _, err := fmt.Fprintln(w, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (c *cli) checkTable(res runner.CheckResult) error {
	rows := [][]string{{"GATE", "STATE", "AGE", "WAITING", "REASON"}}
	for _, g := range res.Gates {
		age, wait := "-", "cannot help"
		if g.EvidenceAge >= 0 {
			age = fmt.Sprintf("%.1fs", g.EvidenceAge)
		}
		if g.WaitingHelps {
			wait = "can help"
		}
		if g.State == runner.GateOpen {
			wait = ""
		}
		rows = append(rows, []string{g.Name, string(g.State), age, wait, g.Reason})
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
	return nil
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
	if s.Run != "" {
		rows = append(rows, []string{"run", fmt.Sprintf("%s (%s) since %s, write-unavailable %.1f s", s.Run, s.RunKind, stamp(s.RunStarted), s.WriteUnavailable)})
	}
	if s.LastRun != "" {
		rows = append(rows, []string{"last run", strings.TrimSpace(s.LastRun + " " + string(s.LastOutcome))})
	}
	if err := c.table(rows...); err != nil {
		return err
	}
	for _, g := range s.Gates {
		if g.State != runner.GateOpen {
			if err := c.print("gate %s is %s: %s\n", g.Name, g.State, g.Reason); err != nil {
				return err
			}
		}
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
	return strings.TrimSpace(fmt.Sprintf("%s on %s: %s %s", s.AG, s.Server, role, s.Modes))
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
