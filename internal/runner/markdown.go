package runner

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Markdown writes the report for people.
func (r *Report) Markdown(w io.Writer) error {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	title := "Cutover"
	if r.Kind == KindDrill {
		title = "Drill"
	}
	if r.Mode != ModeExecute {
		title += " (dry run)"
	}
	p("# %s of %s: %s\n", title, md(r.DAG), md(orDash(string(r.Outcome))))
	p("%s.\n", upperFirst(md(r.Summary)))
	p("| | |")
	p("|---|---|")
	p("| run | %s |", md(r.Run))
	p("| distributed availability group | %s |", md(r.Group))
	p("| source | %s on %s, SQL Server %s |", md(r.Source.AG), md(r.Source.ServerName), md(r.Source.Version))
	p("| target | %s on %s, SQL Server %s |", md(r.Target.AG), md(r.Target.ServerName), md(r.Target.Version))
	p("| started | %s (%s) |", stamp(r.Started), md(r.StartedBy))
	if r.Version != "" {
		p("| by cutover_webhook | %s |", md(r.Version))
	}
	p("| ended | %s |", stamp(r.Ended))
	switch {
	case r.Mode != ModeExecute:
		p("| write-unavailable time | none: nothing was touched |")
	case r.WriteUnavailableTo.IsZero() && !r.WriteUnavailableFrom.IsZero() && !r.Ended.IsZero():
		p("| write-unavailable time | at most %s (from %s; when writes went on again was not seen) |", seconds(r.WriteUnavailable), stamp(r.WriteUnavailableFrom))
	default:
		p("| write-unavailable time | %s (%s to %s) |", seconds(r.WriteUnavailable), stamp(r.WriteUnavailableFrom), stamp(r.WriteUnavailableTo))
	}
	p("| plan | `%s` |", r.PlanHash)
	if a := r.Arming; a != nil {
		p("| armed | by %s at %s until %s, plan `%.12s`%s |", md(a.By), stamp(a.At), stamp(a.Until), a.PlanHash, reason(a.Reason))
	}
	for _, a := range r.Approvals {
		p("| approved | by %s at %s, plan `%.12s`%s |", md(a.By), stamp(a.At), a.PlanHash, reason(a.Reason))
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if old, ok := r.Old[s]; ok {
			p("| modes before, %s's copy | %s |", s, md(old))
		}
	}
	if g := r.GoingBack; g != nil {
		p("\nWent back at %s: %s.", stamp(g.At), md(g.Reason))
	}

	p("\n## What is left to do\n")
	if len(r.Left) == 0 {
		p("Nothing.")
	}
	for _, l := range r.Left {
		p("- %s", md(l))
	}

	if len(r.Unconfirmed) > 0 {
		p("\n## Not confirmed by public documentation, and found out by this drill\n")
		p("| step | |")
		p("|---|---|")
		for _, u := range r.Unconfirmed {
			p("| %s | %s |", md(u.Step), md(u.Text))
		}
	}

	p("\n## Statements\n")
	if r.Mode != ModeExecute {
		p("None was sent. These would have been:\n")
	}
	p("| # | sent | side | statement | answer | answer after | effect seen after |")
	p("|---|---|---|---|---|---|---|")
	for n, s := range r.Statements {
		answer := s.Outcome
		if s.Error != "" {
			answer += ": " + s.Error
		}
		p("| %d | %s | %s | `%s` | %s | %s | %s |", n+1, stamp(s.Sent), s.Side, md(s.SQL), md(answer), since(s.Sent, s.Returned), since(s.Sent, s.Effect))
	}

	p("\n## Steps\n")
	p("| step | phase | began | took |")
	p("|---|---|---|---|")
	for _, ph := range r.Phases {
		p("| %s | %s: %s | %s | %s |", md(ph.Step), md(ph.Phase), md(ph.Text), stamp(ph.At), seconds(ph.Seconds))
	}

	if len(r.Hooks) > 0 {
		p("\n## Hooks\n")
		p("| hook | attempts | last began | took | result |")
		p("|---|---|---|---|---|")
		for _, h := range r.Hooks {
			res := "ok"
			if !h.OK {
				res = "failed: " + h.Error
			}
			p("| %s | %d | %s | %s | %s |", md(h.Hook), h.Attempts, stamp(h.Started), since(h.Started, h.Ended), md(res))
		}
		for _, h := range r.Hooks {
			for n, o := range h.Output {
				p("\nOutput of %s, attempt %d:\n\n%s", md(h.Hook), n+1, indent(o))
			}
		}
	}

	if pr := r.Proof; pr != nil {
		p("\n## Proof\n")
		p("Complete at %s after %d equal samples since %s; basis %s; hash `%s`.\n", stamp(pr.At), pr.Samples, stamp(pr.Since), pr.Basis, pr.Hash)
		p("| database | source last_hardened | target last_hardened | source end_of_log | target end_of_log | highest source end_of_log read | fork | |")
		p("|---|---|---|---|---|---|---|---|")
		for _, row := range pr.Rows {
			ahead := ""
			if row.Ahead {
				ahead = "target ahead"
			}
			p("| %s | %s | %s | %s | %s | %s | %s | %s |", md(row.Database), lsn(row.SourceHardened), lsn(row.TargetHardened), lsn(row.SourceEndOfLog), lsn(row.TargetEndOfLog), lsn(row.HighEndOfLog), md(row.ForkGUID), ahead)
		}
		if len(pr.Unverified) > 0 {
			p("\nLineage could not be read on both sides of: %s.", md(strings.Join(pr.Unverified, ", ")))
		}
	}

	for _, v := range r.Verdicts {
		p("\n## Gates: %s, %s\n", md(v.When), stamp(v.At))
		if len(v.Gates) == 0 {
			p("None is read after S2: the proof stands in their place.")
			continue
		}
		p("| gate | state | reason | evidence |")
		p("|---|---|---|---|")
		for _, g := range v.Gates {
			p("| %s | %s | %s | %s |", md(g.Name), g.State, md(g.Reason), seconds(g.EvidenceAge))
		}
	}

	if len(r.Pages) > 0 {
		p("\n## Calls for a human\n")
		for _, pg := range r.Pages {
			p("- %s, until %s: **%s** %s", stamp(pg.At), stamp(pg.Until), md(pg.Code), md(pg.Text))
			for _, c := range pg.Before {
				p("  - before: %s", md(c))
			}
			for _, s := range pg.Statements {
				p("  - on the %s: `%s`", s.Side, md(s.SQL))
			}
		}
	}
	if len(r.Notes) > 0 {
		p("\n## Notes\n")
		for _, n := range r.Notes {
			p("- %s: %s", stamp(n.At), md(n.Text))
		}
	}
	p("\n## Log\n")
	p("| time | kind | |")
	p("|---|---|---|")
	for _, e := range r.Events {
		p("| %s | %s | %s |", stamp(e.At), md(e.Kind), md(e.Text))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// md makes a text safe inside a table cell.
func md(s string) string {
	return strings.NewReplacer("|", `\|`, "\r", " ", "\n", " ", "<", "&lt;").Replace(s)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func since(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "–"
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(time.Millisecond).String()
}

func orDash(s string) string {
	if s == "" {
		return "not ended"
	}
	return s
}

func lsn(l hadr.LSN) string {
	if !l.Known() {
		return "unknown"
	}
	return l.String()
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return ": " + md(s)
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
