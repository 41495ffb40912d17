package lab

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/tds"
)

// Duration is a time.Duration that JSON writes as "1.5s" and also reads as a number of seconds.
type Duration time.Duration

func (d Duration) d() time.Duration { return time.Duration(d) }

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.d().String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var f float64
	if json.Unmarshal(b, &f) == nil {
		*d = Duration(f * float64(time.Second))
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// Fault is what shall happen to requests or statements that match. Class is one of s1, s2, s3, rsstc, replica, drop, failover,
// database (ADD and REMOVE DATABASE; the statements of domain.md), lock, select, insert, commit, login, any; Text is a regular expression over the request's text,
// without case. Both empty: every request.
type Fault struct {
	ID    int    `json:"id,omitempty"`
	Side  string `json:"side,omitempty"` // source, target, or empty for both
	Class string `json:"class,omitempty"`
	Text  string `json:"text,omitempty"`
	Times int    `json:"times,omitempty"` // how often; 0 is once, -1 for ever

	// What happens to the request as a whole, on the wire.
	DelayRequest Duration `json:"delay_request,omitempty"` // it runs this much later
	DelayAnswer  Duration `json:"delay_answer,omitempty"`  // its answer leaves this much later
	// LoseAnswer: "before": it never runs and the connection breaks; "after": it runs to its end and the connection breaks without
	// an answer; "effect": the connection breaks right after the ALTER was accepted.
	LoseAnswer string `json:"lose,omitempty"`
	BreakFirst bool   `json:"break_first,omitempty"` // the connection breaks now, the request runs all the same after DelayRequest
	CutAfter   int    `json:"cut_after,omitempty"`   // the connection breaks after so many bytes of the answer
	Hang       bool   `json:"hang,omitempty"`        // silence on an open socket instead of a break
	Reset      bool   `json:"reset,omitempty"`       // TCP reset instead of a close

	// What happens to an ALTER or DROP AVAILABILITY GROUP alone.
	Before Duration `json:"before,omitempty"` // it is accepted this much later
	Late   Duration `json:"late,omitempty"`   // it is accepted and takes effect this much later
	After  Duration `json:"after,omitempty"`  // its batch goes on this much later
	Error  int32    `json:"error,omitempty"`  // it is refused with this number

	Lose bool `json:"-"` // lose at "effect"

	re         *regexp.Regexp
	wire, stmt int // how often still
}

func (f *Fault) onWire() bool {
	return f.DelayRequest > 0 || f.DelayAnswer > 0 || f.LoseAnswer == "before" || f.LoseAnswer == "after" || f.BreakFirst || f.CutAfter > 0 || f.Hang
}

func (f *Fault) onStatement() bool {
	return f.Before > 0 || f.Late > 0 || f.After > 0 || f.Error != 0 || f.LoseAnswer == "effect"
}

// classes recognise a request by its text.
var classes = map[string]string{
	"s1": `MODIFY\s+AVAILABILITY\s+GROUP\s+ON`, "s2": `SET\s*\(\s*ROLE\s*=`, "s3": `FORCE_FAILOVER_ALLOW_DATA_LOSS`,
	"rsstc":   `SET\s*\(\s*REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT`,
	"replica": `MODIFY\s+REPLICA\s+ON`, "drop": `DROP\s+AVAILABILITY\s+GROUP`, "failover": `AVAILABILITY\s+GROUP\s+\S+\s+FAILOVER`,
	"database": `AVAILABILITY\s+GROUP\s+\S+\s+(ADD|REMOVE)\s+DATABASE`,
	"lock":     `sp_getapplock`, "select": `^\s*(--[^\n]*\n\s*)*(SELECT|DECLARE|EXEC|SET)\b`, "insert": `INSERT`, "commit": `COMMIT`, "login": `^login$`, "any": ``,
}

// rules are the faults that are armed.
type rules struct {
	clock Clock
	mu    sync.Mutex
	next  int
	list  []*Fault
}

func (r *rules) add(f Fault) (int, error) {
	pattern := f.Text
	if pattern == "" {
		p, ok := classes[f.Class]
		if !ok && f.Class != "" {
			return 0, fmt.Errorf("unknown class %q", f.Class)
		}
		pattern = p
	}
	re, err := regexp.Compile("(?is)" + pattern)
	if err != nil {
		return 0, fmt.Errorf("text: %w", err)
	}
	switch f.LoseAnswer {
	case "", "before", "after", "effect":
	default:
		return 0, fmt.Errorf("lose: %q is none of before, after, effect", f.LoseAnswer)
	}
	if !f.onWire() && !f.onStatement() {
		return 0, fmt.Errorf("a fault needs something to do")
	}
	if f.Side != "" && f.Side != "source" && f.Side != "target" {
		return 0, fmt.Errorf("unknown side %q", f.Side)
	}
	f.re = re
	f.wire, f.stmt = f.Times, f.Times
	if f.Times == 0 {
		f.wire, f.stmt = 1, 1
	}
	f.Lose = f.LoseAnswer == "effect"
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	f.ID = r.next
	r.list = append(r.list, &f)
	return f.ID, nil
}

// compiled are the classes as regular expressions.
var compiled = func() map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	for name, p := range classes {
		out[name] = regexp.MustCompile("(?is)" + p)
	}
	return out
}()

// is tells whether a request is of a class. A login is of class login alone.
func (r *rules) is(class, text string, login bool) bool {
	if login || class == "login" {
		return login && class == "login"
	}
	return compiled[class].MatchString(text)
}

func (r *rules) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

func (r *rules) all() []Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Fault, 0, len(r.list))
	for _, f := range r.list {
		out = append(out, *f)
	}
	return out
}

// spend takes one use of a counter.
func spend(n *int) bool {
	if *n == 0 {
		return false
	}
	if *n > 0 {
		*n--
	}
	return true
}

// statement gives what shall happen to an ALTER that is about to be executed.
func (r *rules) statement(side Side, class, text string) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out Fault
	for _, f := range r.list {
		if !f.onStatement() || f.Side != "" && f.Side != side.String() {
			continue
		}
		if f.Text != "" && !f.re.MatchString(text) || f.Class != "" && f.Class != "any" && f.Class != class || !spend(&f.stmt) {
			continue
		}
		out.Before, out.After, out.Late = max(out.Before, f.Before), max(out.After, f.After), max(out.Late, f.Late)
		out.Lose = out.Lose || f.Lose
		if f.Error != 0 {
			out.Error = f.Error
		}
	}
	return out
}

// Fault implements tds.Faults: what shall happen to a request on the wire.
func (n *node) Fault(_ tds.ConnInfo, q tds.Request) tds.Fault {
	r := &n.lab.rules
	text := q.Text()
	if strings.HasPrefix(strings.ToLower(text), "sp_reset_connection") {
		return tds.Fault{}
	}
	if f := n.lab.opt.Request; f != nil {
		f(n.inst.Side, n.index(), text)
	}
	if run := n.lab.run; run != nil && run.wire {
		_ = n.lab.engine.do(func(m *model.Model) { // an error means that the lab has ended
			run.seen(m, n.inst.Side, "received", func(class string) bool { return r.is(class, text, q.Kind == tds.KindLogin) })
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out tds.Fault
	for _, f := range r.list {
		if !f.onWire() || f.Side != "" && f.Side != n.inst.Side.String() || q.Kind == tds.KindLogin && f.Class != "login" || !f.re.MatchString(text) || !spend(&f.wire) {
			continue
		}
		out.DelayRequest = max(out.DelayRequest, f.DelayRequest.d())
		out.Delay = max(out.Delay, f.DelayAnswer.d())
		out.DropRequest = out.DropRequest || f.LoseAnswer == "before"
		out.DropAnswer = out.DropAnswer || f.LoseAnswer == "after"
		out.BreakFirst = out.BreakFirst || f.BreakFirst
		if f.CutAfter > 0 {
			out.CutAfter = f.CutAfter
		}
		out.Hang, out.Reset = out.Hang || f.Hang, out.Reset || f.Reset
	}
	return out
}
