package cutover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// idle: no run. The gates are evaluated; what stands wrong without a run of
// ours is a page with both ways out, and is touched by nobody.
func (e *engine) idle() Decision {
	e.foldUnread()
	e.verdicts = e.gates()
	src, tgt := e.role(hadr.Source), e.role(hadr.Target)
	add := func(p *Page, l ...Statement) {
		for _, s := range l {
			if st, ok := e.p.statement(s.Kind, s.Side); ok {
				p.Statements = append(p.Statements, st)
			}
		}
	}
	switch {
	case src == hadr.RolePrimary && tgt == hadr.RolePrimary:
		return e.page(Page{Code: PageSplit, Text: "source and target both read PRIMARY and no run of ours is active: two writable copies",
			Before: []string{"stop the writers of one side now", "compare both sides with the last report before anything is typed"}})
	case src == hadr.RoleSecondary && tgt == hadr.RoleSecondary:
		p := Page{Code: PageBothSecondary, Text: "no side is PRIMARY and no run of ours explains it: nobody can write. Two ways out, and only a human can choose",
			Before: []string{"find out who sent S2 and whether an S3 of theirs may still land", "S3 on the target only if its last_hardened_lsn and end_of_log_lsn are not below the source's in every database, at rest", "S3 on the source otherwise; never both"}}
		if e.in.Outstanding(*e.p, e.now) {
			p.Text += fmt.Sprintf(". A statement of run %s may still land: nothing is to be typed before", e.in.Run)
			return e.page(p)
		}
		if s, run := e.foreign(); run != "" {
			// Of a webhook with another journal, or of this one under another
			// name: its S3 may be on the way.
			p.Text += fmt.Sprintf(". Master of the %s holds run id %s, which is not known here", s, run)
			p.Before = slices.Insert(p.Before, 0, fmt.Sprintf("the webhook that began run %s, and its journal, are found: it knows what was sent. Nothing is to be typed while it may act, or while an S3 of its may still land", run))
		}
		add(&p, Statement{Kind: ReleaseSecondary, Side: hadr.Source}, Statement{Kind: Promote, Side: hadr.Source}, Statement{Kind: Promote, Side: hadr.Target})
		return e.page(p)
	}
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if r := e.reading(s); r != nil && r.DAG.Role == hadr.RolePrimary && r.DAG.RSSTC.OK && r.DAG.RSSTC.V != 0 && e.p.UseRequired && e.o.Outside.OtherRun == "" {
			p := Page{Code: PageRequiredOn, Text: fmt.Sprintf("RSSTC=%d stands on the %s, which is PRIMARY, without a run of ours: its commits fail as soon as the other side is out", r.DAG.RSSTC.V, s),
				Before: []string{"no other engine or person is in the middle of a failover"}}
			add(&p, Statement{Kind: ReleaseSecondary, Side: s})
			return e.page(p)
		}
	}
	if p := e.gone(); p != nil {
		return e.page(*p)
	}
	if v, ok := e.closedFor(stageStart); !ok {
		return Decision{Action: ActionWait, Poll: pollIdle, Reason: fmt.Sprintf("gate %s is %s: %s", v.Gate, v.State, v.Reason), Verdicts: e.verdicts, Want: e.want()}
	}
	kind := "cutover"
	if e.p.Drill {
		kind = "drill"
	}
	return Decision{Action: ActionStart, Poll: pollRun, Reason: "every gate is open: the " + strings.ToLower(kind) + " may start", Verdicts: e.verdicts, Want: e.want()}
}

// gone is the emergency without a run: one side has not been seen for settle,
// the other one reads SECONDARY, so nobody is seen to take writes. nil if that
// is not so. Nothing of it is ever sent by us.
func (e *engine) gone() *Page {
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		since, other := e.in.SourceUnread, s.Other()
		if s == hadr.Target {
			since = e.in.TargetUnread
		}
		if since.IsZero() || e.now.Sub(since) < e.p.Settle || e.role(other) != hadr.RoleSecondary {
			continue
		}
		why := e.why(s)
		if e.reading(s) != nil {
			why = "it reads " + shown(string(e.role(s)))
		}
		p := Page{Code: PageSideGone, Text: fmt.Sprintf("the %s has not been seen for %s (%s), the %s reads SECONDARY, and no run of ours is active: nobody is seen to take writes", s, e.now.Sub(since).Round(time.Second), why, other),
			Before: []string{
				fmt.Sprintf("bring the %s back if that can be done: nothing is lost then, and nothing is to be typed", s),
				fmt.Sprintf("the %s is fenced for good: how? (powered off, network cut, AG offline): if it is PRIMARY where it cannot be seen, there are two primaries", s),
				fmt.Sprintf("the %s reads SECONDARY, now, and nobody else is about to send S3", other),
				"somebody who may decide it has agreed to the cost",
			}}
		if e.in.Outstanding(*e.p, e.now) {
			p.Text += fmt.Sprintf(". A statement of run %s may still land: nothing is to be typed before", e.in.Run)
			p.Before = p.Before[:1]
			return &p
		}
		p.Text += fmt.Sprintf(". If it is gone for good, this is the emergency. THERE IS NO PROOF: S3 on the %s loses whatever the %s committed beyond the %s's LSNs", other, s, other)
		kinds := []Kind{Promote}
		if r := e.reading(other); !released(r) {
			kinds = []Kind{ReleaseSecondary, Promote}
		}
		for _, k := range kinds {
			if st, ok := e.p.statement(k, other); ok {
				p.Statements = append(p.Statements, st)
			}
		}
		return &p
	}
	return nil
}
