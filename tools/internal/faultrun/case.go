package faultrun

import (
	"fmt"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Effect is what becomes of the disturbed step itself.
type Effect string

// The effects. Late is longer than everything that a server does by itself
// here and shorter than the configured settle.
const (
	Applied Effect = "applied"
	Not     Effect = "not applied"
	Late    Effect = "late"
)

// Effects lists them all.
var Effects = []Effect{Applied, Not, Late}

// Wire is what is disturbed around the step.
type Wire string

// What is disturbed. Under Sight the webhook dies while its request is on the
// wire; under the others it first sees what they do to it, and dies at its
// next sign of life or after a quarter of a second.
const (
	Sight  Wire = "killed at once"
	Reset  Wire = "reset"
	Lost   Wire = "lost answer"
	Cut    Wire = "link cut"
	Freeze Wire = "freeze"
)

// Wires lists them all.
var Wires = []Wire{Sight, Reset, Lost, Cut, Freeze}

// Hit is one disturbance.
type Hit struct {
	At   string        // the step's name, or "" with Nth
	Nth  int           // the how manyth step of the run, from 1
	Do   Effect        // of the step
	Wire Wire          // around it
	Stay bool          // the webhook is not killed
	Heal time.Duration // after the restart (with Stay: after the hit), until the link or the server is well again
}

func (h Hit) String() string {
	at := h.At
	if at == "" {
		at = fmt.Sprintf("step %d", h.Nth)
	}
	s := fmt.Sprintf("%s: %s, %s", at, h.Wire, h.Do)
	if h.Stay {
		s += ", not killed"
	}
	return s
}

// Case is one run of the webhook against a lab.
type Case struct {
	Name     string
	Drill    bool
	Rollback bool   // a person asks for the way back as soon as the webhook was started again
	Hookless bool   // no quiesce hook: the client is listed in quiet_programs and writes through everything
	Majors   [2]int // of the sides; zero is 16. They differ: a cross-version migration
	Assume   model.Assumptions
	Hits     []Hit         // one after the other
	Schedule *lab.Schedule // what happens to the lab besides, by the clock
	Seed     uint64        // of the lab
	Limit    time.Duration // until the end has to be there; default 2 min
	KeepLog  bool          // also of a good end
}

// crossVersion is a forwarder that is newer than the primary.
func (c *Case) crossVersion() bool { return c.Majors[0] != c.Majors[1] }

// Result is how a case ended.
type Result struct {
	Case    Case
	Outcome string   // the run's own word: done, rolled_back, aborted, drilled, closed; "not started"
	Class   string   // done, back, or closed; with " by hand" where statements were typed
	Struck  []string // the hits that happened
	Pages   []string // codes of the pages that stood
	Typed   []string // what a person typed, as a page said
	Acked   int      // rows that were acknowledged to the client
	Samples int      // of the roles
	Took    time.Duration
	Err     error  // why this is no good end; nil: it is one
	Log     string // for a person, if there is an Err
}

// classOf an outcome: where the writers go on.
func classOf(outcome string, typed bool) string {
	class := outcome
	switch outcome {
	case "aborted", "rolled_back", "drilled":
		class = "back"
	}
	if typed {
		class += " by hand"
	}
	return class
}

// String tells a result in a line.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %s in %s, %d rows acknowledged", r.Case.Name, r.Outcome, r.Took.Round(10*time.Millisecond), r.Acked)
	if len(r.Struck) > 0 {
		s += "; " + strings.Join(r.Struck, "; ")
	}
	if len(r.Pages) > 0 {
		s += "; pages " + strings.Join(r.Pages, ", ")
	}
	if len(r.Typed) > 0 {
		s += "; typed " + strings.Join(r.Typed, ", ")
	}
	if r.Err != nil {
		s += ": NO GOOD END: " + r.Err.Error()
	}
	return s
}
