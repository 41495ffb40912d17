package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/journal"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// absent makes a Controller for every DAG that the journal holds an unfinished
// run of and that the configuration does not name any more: it was removed or
// renamed. Nobody would take such a run up, and nobody would hear of it, while
// both sides may be SECONDARY. Its Controller has no servers, sends nothing, and
// is a page until the DAG is back. To refuse to start would leave the other DAGs'
// runs alone too. A dry run touched nothing and is not looked for.
func absent(cfg *config.Config, j journal.Journal, log *slog.Logger) ([]*Controller, error) {
	runs, err := j.AllUnfinished()
	if err != nil {
		if log == nil {
			log = slog.New(slog.DiscardHandler)
		}
		log.Error("the journal cannot tell every unfinished run: one of a DAG that is not in the configuration may go unseen", "error", err)
	}
	var out []*Controller
	for _, r := range runs {
		known := slices.ContainsFunc(cfg.DAGs, func(d config.DAG) bool { return d.Name == r.DAG })
		if known || r.Mode != string(ModeExecute) {
			continue
		}
		d := config.DAG{Name: r.DAG, Cutover: config.Cutover{Mode: string(ModeExecute)}}
		if p, err := decodePlan(r); err == nil {
			d.Group, d.Source.AG, d.Target.AG, d.Databases = p.Group, p.SourceAG, p.TargetAG, p.Databases
		}
		c, err := New(Options{DAG: d, Source: nowhere(hadr.Source), Target: nowhere(hadr.Target), Journal: j, Log: log, absent: true})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// absentText is why a run of a DAG that is not configured is not taken up.
func absentText(rec *journal.Record) string {
	return fmt.Sprintf("run %s is unfinished (phase %s), and no DAG named %s is in the configuration: nobody takes it up, and nothing is sent; put the DAG back under that name and restart to let it go on; to close it by hand put it back with mode %s, bring both sides to where they shall be, then acknowledge",
		rec.Run.ID, rec.Intent.Phase, rec.Run.DAG, ModeDryRun)
}

// nowhere is the server of a side that the configuration does not name.
type nowhere hadr.Side

func (s nowhere) err(op string) error {
	return &sqlserver.Error{Op: op, Side: hadr.Side(s), Class: sqlserver.ClassNotSent, Reason: sqlserver.ReasonQuery, Err: errors.New("the DAG is not in the configuration")}
}

func (s nowhere) Read(context.Context, Want) (*hadr.Reading, error) { return nil, s.err("read") }
func (s nowhere) Lock(context.Context, string) (Lock, error)        { return nil, s.err("lock") }
func (s nowhere) ClearRequired(context.Context, string) error       { return s.err("require_0") }
func (s nowhere) Close() error                                      { return nil }
