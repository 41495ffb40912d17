package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// dag is one entry of the configuration.
type dag struct {
	cfg            config.DAG
	source, target *side
	groups         *groups
	log            *slog.Logger
	now            func() time.Time
	history        *history
}

// sameSides reports that connections made for a serve b too.
func sameSides(a, b *config.DAG) bool {
	return a.Name == b.Name && a.Group == b.Group && reflect.DeepEqual(a.Source, b.Source) && reflect.DeepEqual(a.Target, b.Target)
}

// scrape reads both sides at the same time and compares them. It returns
// within ctx.
func (d *dag) scrape(ctx context.Context, want sqlserver.Want) *collector.Snapshot {
	var source, target result
	var wg sync.WaitGroup
	wg.Go(func() { source = d.source.read(ctx, want) })
	wg.Go(func() { target = d.target.read(ctx, want) })
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		// Who asked went away. That says nothing about the servers, so it is
		// no part of the history.
		return d.snapshot(source, target)
	}
	s := d.snapshot(source, target)
	d.history.add(d.now(), s, source.err, target.err, d.log.With("dag", d.cfg.Name))
	return s
}

func (d *dag) snapshot(source, target result) *collector.Snapshot {
	if twin := d.groups.twin(d.cfg.Name, source.reading, target.reading); twin != "" {
		err := &sqlserver.Error{Op: "read", DAG: d.cfg.Name, Reason: sqlserver.ReasonDuplicate,
			Err: fmt.Errorf("%s and %s are one and the same distributed availability group: remove one of them from the configuration", d.cfg.Name, twin)}
		source, target = result{err: err, took: source.took}, result{err: err, took: target.took}
	}
	s := &collector.Snapshot{DAG: d.cfg.Name, Source: sideResult(d.source, source), Target: sideResult(d.target, target)}
	s.Convergence = hadr.Compare(source.reading, target.reading, hadr.Options{
		Group: d.cfg.Group, Databases: d.cfg.Databases, CrossVersion: d.cfg.CrossVersion,
		Near: hadr.Bounds{LogSendQueue: int64(d.cfg.Near.LogSendQueue), RedoQueue: int64(d.cfg.Near.RedoQueue)},
	})
	var why []string
	for _, err := range []error{source.err, target.err} {
		if err != nil && !slices.Contains(why, err.Error()) {
			why = append(why, err.Error())
		}
	}
	if len(why) > 0 {
		s.Convergence.Reason = strings.Join(why, "; ")
	}
	return s
}

func sideResult(s *side, r result) collector.SideResult {
	out := collector.SideResult{Reading: r.reading, Reason: string(reasonOf(r.err)), Duration: r.took}
	if v, ok := s.reader.(interface{ VerifiesCertificates() bool }); ok {
		out.Verified = hadr.Some(v.VerifiesCertificates())
	}
	return out
}

// groups remembers which distributed availability group each name of the
// configuration turned out to be. Two names for one group would make two
// verdicts, and two cutovers, of one migration.
type groups struct {
	mu sync.Mutex
	id map[string]string // by the configuration's name
}

// twin learns the group of a name and returns another name that is the same
// group, "" if there is none.
func (g *groups) twin(name string, readings ...*hadr.Reading) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range readings {
		if r != nil && r.DAG.Found && r.DAG.GroupID != "" {
			g.id[name] = strings.ToLower(r.DAG.GroupID)
		}
	}
	if g.id[name] == "" {
		return ""
	}
	var twins []string
	for other, id := range g.id {
		if other != name && id == g.id[name] {
			twins = append(twins, other)
		}
	}
	slices.Sort(twins)
	return strings.Join(twins, ", ")
}

// take over what another one knows of a name.
func (g *groups) take(other *groups, name string) {
	other.mu.Lock()
	id, ok := other.id[name]
	other.mu.Unlock()
	if ok {
		g.id[name] = id
	}
}
