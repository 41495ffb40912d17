package views

import (
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// automaticSeeding is a history: the seedings by which the pair came about, and those since.
func automaticSeeding(e *Env) [][]any {
	s := e.Snap
	var out [][]any
	if s.DAG != nil {
		for _, d := range s.Seen {
			start := s.DAG.Created
			out = append(out, []any{at(start), at(start.Add(4 * time.Minute)), guid(s.DAG.ID), guid(d.First), guid(s.DAG.Members[1-s.DAG.OwnIndex].ReplicaID), guid(d.Fork),
				s.Instance.Side == model.Source, model.SeedingCompleted, true, nil, nil, nil, int64(1)})
		}
	}
	for i := range s.Seedings {
		x := &s.Seedings[i]
		failed := x.Failure >= 0
		out = append(out, []any{at(x.Start), at(x.Done), guid(x.Group), guid(x.Database), guid(x.Remote), guid(x.Operation), x.Source, x.State, x.Performed,
			when(failed, int64(x.Failure)), when(failed, x.Reason), when(x.Code != 0, int64(x.Code)), int64(1)})
	}
	return out
}

// seedingRoles are role_code and role_desc: the words are documented, which number is whose is not.
var seedingRoles = [...]string{"Source", "Destination", "Forwarder", "ForwarderDestination"}

// physicalSeeding has rows only while a database is copied.
func physicalSeeding(e *Env) [][]any {
	var out [][]any
	for i := range e.Snap.Seedings {
		x := &e.Snap.Seedings[i]
		if !x.Done.IsZero() || !x.Performed {
			continue
		}
		role := 0
		if !x.Source {
			role = 1
		}
		if x.Forwarding {
			role += 2
		}
		code, state := int64(2), "ReadingAndSendingData"
		if x.State == model.SeedingCatchup {
			code, state = 3, "WaitingForRestoreToFinish"
		}
		var rate, end any
		if x.Rate > 0 {
			rate = x.Rate
			end = at(e.Snap.Now.Add(time.Duration(float64(x.Size-x.Moved) / float64(x.Rate) * float64(time.Second))).UTC())
		}
		out = append(out, []any{guid(x.Operation), guid(x.RemoteOp), i64(x.DatabaseID), x.Name, x.Machine, i64(role), seedingRoles[role], code, state,
			rate, x.Moved, x.Size, at(x.Began.UTC()), nil, end, int64(0), int64(0), nil, nil, nil, false})
	}
	return out
}
