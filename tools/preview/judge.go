package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// judge tells what is wrong with one picture: what is wrong with any, and what
// does not say what it has to at this moment.
func judge(f facts, moment, dashboard, how string) []string {
	var out []string
	say := func(panel, format string, args ...any) { out = append(out, panel+": "+fmt.Sprintf(format, args...)) }
	for _, p := range f.Problems {
		say("page", "%s", p)
	}
	if f.Warning != "preview, not Grafana" {
		say("page", "it does not say that it is a preview")
	}
	if f.Page.Width > f.Page.Window {
		say("page", "wider than the window: %d px of %d", f.Page.Width, f.Page.Window)
	}
	wide := strings.HasSuffix(how, "1600")
	for n, p := range f.Panels {
		for _, q := range f.Panels[:n] {
			if p.Box[0] < q.Box[2] && q.Box[0] < p.Box[2] && p.Box[1] < q.Box[3] && q.Box[1] < p.Box[3] {
				say(p.Title, "overlaps %s", q.Title)
			}
		}
		for _, e := range p.Errors {
			say(p.Title, "%s", e)
		}
		for _, q := range p.Silent {
			if !mayBeSilent(moment, dashboard, p.Title, q) {
				say(p.Title, "query %s has no data", q)
			}
		}
		if moment == "exporter absent" {
			for _, c := range p.colours() {
				if green(c.colour) {
					say(p.Title, "%q is green, and nobody knows", c.text)
				}
			}
		}
		if moment == "exporter absent" {
			for _, r := range p.Rows {
				if n := len(r.Spans); n > 0 && green(r.Spans[n-1].Color) {
					say(p.Title, "the last that row %s says is %q in green, and nobody knows", r.Name, r.Spans[n-1].Text)
				}
			}
		}
		if wide {
			for _, finding := range p.unreadable() {
				say(p.Title, "%s", finding)
			}
		}
	}
	for _, w := range wanted {
		if w.moment == moment && w.dashboard == dashboard {
			if finding := w.judge(f); finding != "" {
				say(w.panel, "%s", finding)
			}
		}
	}
	slices.Sort(out)
	return out
}

// unreadable is what a person at a full screen cannot read in a panel.
func (p panelFacts) unreadable() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, t := range p.Clipped {
		say("cut off: %q", t)
	}
	for _, s := range p.Scrolls {
		// Rows of a table may be more than fit; its columns may not.
		if p.Type != "table" || strings.HasSuffix(s, "beside") {
			say("scrolls: %s", s)
		}
	}
	for _, v := range p.Values {
		if v.Outside || v.Size < 14 {
			say("%q is %0.f px high, outside: %v", v.Text, v.Size, v.Outside)
		}
	}
	for _, word := range []string{"NaN", "undefined", "Invalid date", "{{", "$__"} {
		if strings.Contains(p.Text, word) {
			say("it says %q", word)
		}
	}
	for _, r := range p.Rows {
		if r.Height < 9 {
			say("row %s is %.0f px high", r.Name, r.Height)
		}
		for _, s := range r.Spans {
			if _, err := strconv.ParseFloat(s.Text, 64); err == nil || s.Text == "" || s.Color == "" {
				say("row %s: %q is no state", r.Name, s.Text)
			}
		}
	}
	for n, l := range p.Legend {
		if len(l) > 60 || slices.Contains(p.Legend[:n], l) {
			say("the legend %q is too long or not alone", l)
		}
	}
	if p.Plot != nil && p.Series > 0 && (p.Plot.Height < 60 || p.Plot.Ink < 20) {
		say("its plot is %d px high and has %d coloured pixels", p.Plot.Height, p.Plot.Ink)
	}
	if p.Type == "timeseries" && p.Series > 0 && p.Plot == nil && p.Empty == "" {
		say("no plot")
	}
	return out
}

type painted struct{ text, colour string }

// colours are all words of a panel that have one.
func (p panelFacts) colours() []painted {
	var out []painted
	for _, v := range p.Values {
		out = append(out, painted{v.Text, v.Color})
	}
	for _, row := range p.Cells {
		for _, c := range row {
			out = append(out, painted{c.Text, c.Color})
		}
	}
	return out
}

// green reports a colour in which green is well ahead: #rrggbb or rgb(r, g, b).
func green(colour string) bool {
	var r, g, b int
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &r, &g, &b); err != nil {
		if _, err := fmt.Sscanf(strings.ReplaceAll(colour, " ", ""), "rgb(%d,%d,%d)", &r, &g, &b); err != nil {
			return false
		}
	}
	return g > r+30 && g > b+30
}

// mayBeSilent lists the queries that have nothing to say at a moment. All
// others are expected to bring data.
func mayBeSilent(moment, dashboard, panel, query string) bool {
	if moment == "exporter absent" {
		return true
	}
	key := panel + " " + query
	always := []string{
		"Why a side is not read A", "Failed over A",
		"Without writes B", "In this phase for A", "Nobody writes for A", "Phases A", "Phases B", "Statements A", "Time without writes against the budget A",
		// What cannot be told is absent, and says so in the panel.
		"Send queue empty in A", "Held over six samples A", "Without writes A", "Time without writes against the budget B", "Alerts that fire A", "Alerts that fire B", "Alerts that fire C",
	}
	if slices.Contains(always, key) {
		return !(dashboard == "dag-cutover" && moment == "mid-cutover" && slices.Contains([]string{"In this phase for A", "Nobody writes for A", "Phases A", "Statements A"}, key))
	}
	// While a side is not read, or no side or both are primary, what is told
	// from both is not there.
	if slices.Contains([]string{"target down", "split", "mid-cutover"}, moment) {
		return slices.Contains([]string{
			"Every DAG B", "Every database B", "Every database C", "Every database D", "Every database E", "Every database F",
			"Distance in log blocks A", "Databases equal A", "Log used on the primary A", "Send queue A", "Redo queue A",
		}, key)
	}
	// SQL Server has no such rows, or no distance, on a target that has taken over.
	if moment == "failed over" {
		return slices.Contains([]string{"Every database E", "Distance in log blocks A"}, key)
	}
	return moment == "behind" && key == "Distance in log blocks A"
}

// want is what a panel has to say at a moment. text is that of its big word,
// of a cell in the row of this name, or of a span in that row.
type want struct {
	moment, dashboard, panel string
	row                      string
	text                     string
	green                    bool // whether it may be
}

var wanted = []want{
	{moment: "healthy", dashboard: "dag-migration", panel: "Can we cut over?", text: "YES: synchronized", green: true},
	{moment: "healthy", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "SYNCHRONIZED", green: true},
	{moment: "healthy", dashboard: "dag-cutover", panel: "Fits the budget", text: "yes", green: true},
	// Two gates are closed, so that none of the others is green.
	{moment: "healthy", dashboard: "dag-cutover", panel: "Gates: servers", row: "readable", text: "open"},
	{moment: "healthy", dashboard: "dag-cutover", panel: "Gates: data", row: "drained", text: "later"},
	// The target was down for 45 s, some minutes ago.
	{moment: "healthy", dashboard: "dag-fleet", panel: "Worst database, worst 20 DAGs", row: hero, text: "unknown"},
	{moment: "healthy, a day", dashboard: "dag-fleet", panel: "Worst database, worst 20 DAGs", row: hero, text: "unknown"},
	{moment: "healthy", dashboard: "dag-migration", panel: "Level of each database, worst 20", row: "ERP_Core", text: "unknown"},
	{moment: "behind", dashboard: "dag-migration", panel: "Can we cut over?", text: "NO: behind"},
	{moment: "behind", dashboard: "dag-migration", panel: "Send queue empty in", text: "NEVER, at this pace"},
	{moment: "behind", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "BEHIND"},
	{moment: "behind", dashboard: "dag-cutover", panel: "Gates: data", row: "queues", text: "closed"},
	{moment: "behind", dashboard: "dag-cutover", panel: "Fits the budget", text: "NO"},
	{moment: "target down", dashboard: "dag-migration", panel: "Can we cut over?", text: "NO: unknown"},
	{moment: "target down", dashboard: "dag-migration", panel: "Sides", row: "target", text: "NOT READ"},
	{moment: "target down", dashboard: "dag-migration", panel: "Sides", row: "source", text: "read", green: true},
	{moment: "target down", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "UNKNOWN"},
	{moment: "target down", dashboard: "dag-fleet", panel: "Alerts that fire", row: "DAGSideDown", text: "warning"},
	{moment: "target down", dashboard: "dag-cutover", panel: "Gates: servers", row: "readable", text: "closed"},
	{moment: "target down", dashboard: "dag-cutover", panel: "Fits the budget", text: "not known"},
	{moment: "target down", dashboard: "dag-cutover", panel: "Both roles", row: "target", text: "NOT READ"},
	{moment: "split", dashboard: "dag-migration", panel: "Can we cut over?", text: "NO: two primaries"},
	{moment: "split", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "TWO PRIMARIES"},
	{moment: "split", dashboard: "dag-fleet", panel: "Alerts that fire", row: "DAGTwoPrimaries", text: "critical"},
	{moment: "split", dashboard: "dag-cutover", panel: "Both roles", row: "target", text: "TWO PRIMARIES"},
	{moment: "split", dashboard: "dag-cutover", panel: "Both roles", row: "source", text: "TWO PRIMARIES"},
	{moment: "split", dashboard: "dag-cutover", panel: "State", text: "TWO PRIMARIES"},
	{moment: "split", dashboard: "dag-cutover", panel: "Fits the budget", text: "does not apply"},
	{moment: "split", dashboard: "dag-cutover", panel: "Gates: groups", row: "direction", text: "closed"},
	{moment: "split", dashboard: "dag-cutover", panel: "Gates: data", row: "outage budget", text: "open"},
	{moment: "mid-cutover", dashboard: "dag-cutover", panel: "Phase", text: "PROMOTE"},
	{moment: "mid-cutover", dashboard: "dag-cutover", panel: "Both roles", row: "source", text: "NO PRIMARY"},
	{moment: "mid-cutover", dashboard: "dag-migration", panel: "Link", row: "link", text: "not known"},
	{moment: "mid-cutover", dashboard: "dag-migration", panel: "Synchronization over the link, worst 20", row: "ERP_Core", text: "no data"},
	{moment: "mid-cutover", dashboard: "dag-cutover", panel: "Fits the budget", text: "not asked"},
	{moment: "mid-cutover", dashboard: "dag-cutover", panel: "Gates: data", row: "queues", text: "not asked"},
	{moment: "mid-cutover", dashboard: "dag-migration", panel: "Can we cut over?", text: "NO: no side is primary"},
	{moment: "mid-cutover", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "NO PRIMARY"},
	{moment: "failed over", dashboard: "dag-migration", panel: "Can we cut over?", text: "DONE: failed over"},
	{moment: "failed over", dashboard: "dag-migration", panel: "Held over six samples", text: "not asked"},
	{moment: "failed over", dashboard: "dag-cutover", panel: "Fits the budget", text: "does not apply"},
	{moment: "failed over", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "FAILED OVER"},
	{moment: "failed over", dashboard: "dag-cutover", panel: "Phase over time", row: "phase", text: "PROMOTE"},
	{moment: "failed over", dashboard: "dag-cutover", panel: "Runs by outcome", row: "done", text: "1"},
	{moment: "exporter absent", dashboard: "dag-migration", panel: "Can we cut over?", text: "NO: no exporter"},
	{moment: "exporter absent", dashboard: "dag-migration", panel: "Sides", text: "no exporter"},
	{moment: "exporter absent", dashboard: "dag-fleet", panel: "Every DAG", row: hero, text: "NO EXPORTER"},
	{moment: "exporter absent", dashboard: "dag-fleet", panel: "DAGs", row: "gone", text: "3"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "Phase", text: "NO WEBHOOK"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "Nobody writes for", text: "NO WEBHOOK"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "Gates: data", text: "NO WEBHOOK"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "State", text: "NO EXPORTER"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "Fits the budget", text: "NO WEBHOOK"},
	{moment: "exporter absent", dashboard: "dag-cutover", panel: "Phase over time", row: "phase", text: "NO WEBHOOK"},
	{moment: "exporter absent", dashboard: "dag-fleet", panel: "Worst database, worst 20 DAGs", row: hero, text: "no data"},
	{moment: "exporter absent", dashboard: "dag-migration", panel: "Level of each database, worst 20", row: "ERP_Core", text: "no data"},
}

func (w want) judge(f facts) string {
	for _, p := range f.Panels {
		if p.Title != w.panel {
			continue
		}
		var found []painted
		for _, v := range p.Values {
			if w.row == "" || w.row == v.Title {
				found = append(found, painted{v.Text, v.Color})
			}
		}
		for _, r := range p.Rows {
			if r.Name == w.row {
				for _, s := range r.Spans {
					found = append(found, painted{s.Text, s.Color})
				}
			}
		}
		for _, row := range p.Cells {
			if slices.ContainsFunc(row, func(c struct{ Text, Color string }) bool { return c.Text == w.row }) {
				for _, c := range row {
					found = append(found, painted{c.Text, c.Color})
				}
			}
		}
		var said []string
		for _, c := range found {
			if c.text == w.text {
				if green(c.colour) != w.green {
					return fmt.Sprintf("%q has the colour %s", c.text, c.colour)
				}
				return ""
			}
			if !slices.Contains(said, c.text) {
				said = append(said, c.text)
			}
		}
		return fmt.Sprintf("%s %q is not said, but %q", w.row, w.text, said)
	}
	return "there is no such panel"
}
