package sqlserver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// hang makes a server swallow what comes next, acknowledgement of a cancel
// included, until the test undoes it.
func hang(t *testing.T, l *lab.Lab) (undo func()) {
	t.Helper()
	if err := l.Control().Freeze(lab.Source, 0); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := l.Control().Unfreeze(lab.Source, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// Two DAGs of one process may be on one server: still one statement at a time.
func TestSidesOfOneServerShareItsLine(t *testing.T) {
	l := startLab(t, lab.Options{})
	o := optionsFor(hadr.Source, l.DSN(lab.Source))
	o.HungHold = time.Second
	o.Lines = new(Lines)
	a, b := openSide(t, o), openSide(t, o)
	own := openSide(t, optionsFor(hadr.Source, l.DSN(lab.Source)))
	for _, s := range []*Side{a, b, own} {
		read(t, s, Want{})
	}
	undo := hang(t, l)
	if _, err := a.Read(within(t, 200*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("the hung one: %v", err)
	}
	if _, err := b.Read(within(t, 200*time.Millisecond), Want{}); reasonOf(err) != ReasonBusy {
		t.Errorf("behind it, from another side: %v", err)
	}
	if _, err := own.Read(within(t, 200*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("with lines of its own: %v", err)
	}
	undo()
	for _, s := range []*Side{a, b} {
		eventually(t, "well again", func() bool { _, err := s.Read(soon(t), Want{}); return err == nil })
	}
}

// A rotated password while a statement hangs does not send a second one after
// it.
func TestRotationDoesNotOvertakeAHungStatement(t *testing.T) {
	l := startLab(t, lab.Options{})
	dsn := l.DSN(lab.Source)
	o := optionsFor(hadr.Source)
	o.HungHold = time.Minute
	o.DSNs = func() ([]string, error) { return []string{dsn}, nil }
	s := openSide(t, o)
	read(t, s, Want{})
	undo := hang(t, l)
	defer undo()
	if _, err := s.Read(within(t, 200*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("the hung one: %v", err)
	}
	dsn += "&keepAlive=31"
	for range 3 {
		if _, err := s.Read(within(t, 200*time.Millisecond), Want{}); reasonOf(err) != ReasonBusy {
			t.Errorf("after the rotation: %v", err)
		}
		time.Sleep(100 * time.Millisecond) // for a line that is let go too early
	}
}

// The first question of a session is a statement too: one that hangs holds the
// line.
func TestAHungFirstQuestionHoldsTheLine(t *testing.T) {
	l := startLab(t, lab.Options{})
	o := optionsFor(hadr.Source, l.DSN(lab.Source))
	o.HungHold = time.Minute
	s := openSide(t, o)
	if _, err := l.Control().Fault(lab.Fault{Side: "source", Text: `probe\.major`, Class: "any", LoseAnswer: "after", Hang: true, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(within(t, 500*time.Millisecond), Want{}); reasonOf(err) != ReasonTimeout {
		t.Errorf("the hung one: %v", err)
	}
	time.Sleep(200 * time.Millisecond) // for a line that is let go too early
	if _, err := s.Read(within(t, 500*time.Millisecond), Want{}); reasonOf(err) != ReasonBusy {
		t.Errorf("behind it: %v", err)
	}
}

// A driver that stumbles takes its session with it, and nothing else.
func TestASessionDoesNotSurviveAPanic(t *testing.T) {
	_, src, _ := pair(t, lab.Options{})
	read(t, src, Want{})
	in := src.instances[0]
	before := in.sess
	_, _, err := in.ask(soon(t), func(int) string { panic("stumbled") })
	var p *panicked
	if !errors.As(err, &p) {
		t.Errorf("%v", err)
	}
	if in.sess != nil {
		t.Error("the session is kept")
	}
	if err := before.query(context.Background(), "SELECT 1 AS one", func([]string) (rowFunc, error) { return nil, nil }); err == nil {
		t.Error("its socket is still there")
	}
	read(t, src, Want{})
}
