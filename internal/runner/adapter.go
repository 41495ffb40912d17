package runner

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/cutover"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// side is a sqlserver.Side as a Server. It translates names and nothing else.
type side struct {
	s     *sqlserver.Side
	which hadr.Side
}

// OpenSide prepares one side of a configured DAG. It does not connect.
//
// Its readings share no sqlserver.Lines with another DAG's on the same server,
// as those of the exporter do. What a reading that hangs would cost there is a
// gap in a graph; here it would be an outage: a run whose source has just given
// up its role would queue behind another DAG's idle look at the same server, a
// long batch every few seconds, and behind one that hangs for its 10 s and the
// 12 s until its socket is dropped, while no side takes writes. So a server is
// asked by at most one reading per DAG that is configured on it, which is bounded
// too. Locks and statements stand in lines of their own either way.
func OpenSide(d config.DAG, which hadr.Side, log *slog.Logger) (Server, error) {
	cs := d.Source
	if which == hadr.Target {
		cs = d.Target
	}
	group := d.Group
	if group == "" {
		group = d.Name
	}
	s, err := sqlserver.Open(sqlserver.Options{
		DAG: d.Name, Group: group, AG: cs.AG, Side: which,
		DSNs: cs.DSNs, Logger: log, AppName: "cutover_webhook",
	})
	if err != nil {
		return nil, err
	}
	return &side{s: s, which: which}, nil
}

func (s *side) Read(ctx context.Context, w Want) (*hadr.Reading, error) {
	return s.s.Read(ctx, sqlserver.Want{
		Replicas: true, Log: w.Log,
		Rights: w.Rights, Transactions: w.Transactions, Lineage: w.Lineage, Marker: w.Marker, Seeding: w.Seeding,
	})
}

func (s *side) Close() error { return s.s.Close() }

func (s *side) ClearRequired(ctx context.Context, group string) error {
	return s.s.ClearRequired(ctx, group)
}

func (s *side) Lock(ctx context.Context, resource string) (Lock, error) {
	l, err := s.s.Lock(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &lock{Lock: l, side: s}, nil
}

// kinds maps the engine's statements to those that sqlserver can render.
var kinds = map[cutover.Kind]sqlserver.Kind{
	cutover.SetSynchronous:   sqlserver.KindSync,
	cutover.SetAsynchronous:  sqlserver.KindAsync,
	cutover.RequireSecondary: sqlserver.KindRequire1,
	cutover.ReleaseSecondary: sqlserver.KindRequire0,
	cutover.Demote:           sqlserver.KindDemote,
	cutover.Promote:          sqlserver.KindPromote,
}

// render is the cutover.Render of the product: sqlserver's own.
func render(k cutover.Kind, group, sourceAG, targetAG string) (string, error) {
	st, err := statement(k, group, sourceAG, targetAG)
	return st.SQL, err
}

func statement(k cutover.Kind, group, sourceAG, targetAG string) (sqlserver.Statement, error) {
	kind, ok := kinds[k]
	if !ok {
		return sqlserver.Statement{}, fmt.Errorf("render: no statement %q", k)
	}
	if kind == sqlserver.KindSync || kind == sqlserver.KindAsync {
		return sqlserver.Render(kind, group, sourceAG, targetAG)
	}
	return sqlserver.Render(kind, group)
}

type lock struct {
	*sqlserver.Lock
	side *side
}

// Do renders the statement again and sends it only if it is, to the letter,
// what the plan holds: what was approved is what is executed.
func (l *lock) Do(ctx context.Context, st cutover.Statement, g Guard) error {
	notSent := func(format string, args ...any) error {
		return &sqlserver.Error{Op: string(st.Kind), Side: l.side.which, Class: sqlserver.ClassGuardRefused, Err: fmt.Errorf(format, args...)}
	}
	out, err := statement(st.Kind, g.Group, g.SourceAG, g.TargetAG)
	switch {
	case err != nil:
		return notSent("%w", err)
	case out.SQL != st.SQL:
		return notSent("the plan says %q, this build would send %q", st.SQL, out.SQL)
	case st.Side != l.side.which:
		return notSent("a statement for the %s was handed to the %s", st.Side, l.side.which)
	}
	sg := sqlserver.Guard{
		Run: g.Run, Role: g.Role, ServerName: g.ServerName, StartTime: g.StartTime, Databases: g.Databases,
		EndOfLogOnly: g.EndOfLog, NoProof: g.NoProof,
	}
	if len(g.AtLeast) > 0 {
		sg.AtLeast = make(map[string]sqlserver.Floor, len(g.AtLeast))
		for _, r := range g.AtLeast {
			sg.AtLeast[r.Database] = sqlserver.Floor{Hardened: r.Hardened, EndOfLog: r.EndOfLog}
		}
	}
	return l.Lock.Do(ctx, out, sg)
}
