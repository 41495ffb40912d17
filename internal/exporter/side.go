package exporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// Reader asks one side of a DAG. *sqlserver.Side is one.
type Reader interface {
	// Read answers within ctx. Its errors are *sqlserver.Error, and hold no
	// secret.
	Read(ctx context.Context, want sqlserver.Want) (*hadr.Reading, error)
	Close() error
}

// side is one end of a DAG while its configuration does not change.
type side struct {
	name   hadr.Side
	reader Reader
	now    func() time.Time
	flight singleflight.Group
}

func openSide(open func(sqlserver.Options) (Reader, error), opt sqlserver.Options, now func() time.Time) (*side, error) {
	r, err := open(opt)
	if err != nil {
		return nil, err
	}
	return &side{name: opt.Side, reader: r, now: now}, nil
}

// result of a read, shared by all that joined it.
type result struct {
	reading *hadr.Reading
	err     error
	took    time.Duration
}

// read joins a reading in flight that wants the same, or begins one. It
// returns when ctx is over, whatever the reader does. A reading in flight
// lives by the deadline of who began it, not by its connection: others may
// have joined.
func (s *side) read(ctx context.Context, want sqlserver.Want) result {
	began := s.now()
	ch := s.flight.DoChan(fmt.Sprintf("%+v", want), func() (any, error) {
		own := context.WithoutCancel(ctx)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			own, cancel = context.WithDeadline(own, deadline)
			defer cancel()
		}
		reading, err := s.reader.Read(own, want)
		if err == nil && reading == nil {
			err = errors.New("no reading and no error")
		}
		return reading, err
	})
	var out result
	select {
	case r := <-ch:
		if out.err = r.Err; r.Err == nil {
			out.reading = r.Val.(*hadr.Reading)
		}
	case <-ctx.Done():
		out.err = fmt.Errorf("%s: no answer in time: %w", s.name, context.Cause(ctx))
	}
	out.took = s.now().Sub(began)
	return out
}

// reasonOf is the label value of an error.
func reasonOf(err error) sqlserver.Reason {
	if err == nil {
		return sqlserver.ReasonNone
	}
	var e *sqlserver.Error
	switch {
	case errors.As(err, &e) && e.Reason != sqlserver.ReasonNone && slices.Contains(sqlserver.Reasons(), e.Reason):
		return e.Reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return sqlserver.ReasonTimeout
	}
	return sqlserver.ReasonQuery
}

// wantOf is what the groups that are on need.
func wantOf(groups []string) sqlserver.Want {
	on := func(name string) bool { return slices.Contains(groups, name) }
	return sqlserver.Want{
		Replicas:     on("replicas") || on("suspend_reason"),
		Log:          on("log"),
		Seeding:      on("seeding"),
		Certificates: on("summary"),
	}
}

// reasons as label values.
func reasons() (out []string) {
	for _, r := range sqlserver.Reasons() {
		out = append(out, string(r))
	}
	return out
}

func (e *Exporter) sideOptions(d *config.DAG, which hadr.Side) sqlserver.Options {
	c := d.Source
	if which == hadr.Target {
		c = d.Target
	}
	return sqlserver.Options{
		DAG: d.Name, Group: d.Group, AG: c.AG, Side: which,
		DSNs: c.DSNs, Lines: &e.lines, Logger: e.opt.Logger, AppName: "dag_exporter", Now: e.opt.Now,
	}
}
