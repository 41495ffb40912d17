package lab

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestRequestSeen: what is armed at the sight of a request meets that request,
// and Roles tells what is.
func TestRequestSeen(t *testing.T) {
	var l *Lab
	var seen atomic.Int32
	opt := Options{Request: func(side Side, instance int, text string) {
		if side == Target && instance == 0 && strings.Contains(text, "SELECT 4711") && seen.Add(1) == 1 {
			if _, err := l.Control().Fault(Fault{Side: "target", Text: "SELECT 4711", LoseAnswer: "before"}); err != nil {
				t.Error(err)
			}
		}
	}}
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	db, err := sql.Open("sqlserver", l.DSN(Target)+"&disableretry=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("SELECT 4711"); err == nil {
		t.Error("the request at whose sight a fault was armed did not meet it")
	}
	if _, err := db.Exec("SELECT 4711"); err != nil || seen.Load() != 2 {
		t.Errorf("the next one: %v, seen %d times", err, seen.Load())
	}
	if roles, err := l.Control().Roles(); err != nil || roles != [2]model.Role{model.Primary, model.Secondary} {
		t.Errorf("roles %v, %v", roles, err)
	}
}
