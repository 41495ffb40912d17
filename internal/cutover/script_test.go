package cutover

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

var update = flag.Bool("update", false, "write the golden scripts anew")

// TestScripts plays testdata/*.txt: lines that begin with "> " are events,
// what follows is what the engine decided, one line a round (repeats counted).
// They are to be read by a DBA; -update writes the decisions anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			s := newSim(false).begin()
			for _, line := range strings.Split(string(b), "\n") {
				if strings.HasPrefix(line, "#") {
					fmt.Fprintln(&out, line)
				}
				if ev, ok := strings.CutPrefix(line, "> "); ok {
					fmt.Fprintln(&out, line)
					s = event(t, s, ev, &out)
				}
			}
			s.clean(t)
			if *update {
				if err := os.WriteFile(f, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if out.String() != string(b) {
				t.Errorf("decisions differ (go test -run TestScripts -update, and read the difference):\n%s", out.String())
			}
		})
	}
}

func event(t *testing.T, s *sim, ev string, out *strings.Builder) *sim {
	t.Helper()
	f := strings.Fields(ev)
	side := func(i int) *simSide { return &s.w.s[idx(hadr.Side(f[i]))] }
	switch f[0] {
	case "drill":
		return newSim(true).begin()
	case "run":
		n, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		last, count := "", 0
		flush := func() {
			if count > 1 {
				fmt.Fprintf(out, "%s (%d rounds)\n", last, count)
			} else if count == 1 {
				fmt.Fprintln(out, last)
			}
		}
		for range n {
			if !s.in.Ended.IsZero() {
				break
			}
			d := s.round()
			line := fmt.Sprintf("%-18s %-26s %s", s.in.Phase, describe(d), d.Reason)
			if line != last {
				flush()
				last, count = line, 0
			}
			count++
		}
		flush()
	case "link":
		s.w.link = f[1] == "heals"
	case "down":
		side(1).down = true
	case "up":
		side(1).down = false
	case "hang": // what was sent to the source stands still until it is up again
		s.w.hang = true
		side(1).down = true
	case "restart":
		s.w.restart(idx(hadr.Side(f[1])))
	case "commit":
		s.w.write()
	case "hold":
		s.out = held
	case "release":
		s.out = nil
	case "rollback":
		s.out = rollback
	case "dba":
		s.w.dba = true
		s.w.land(Kind(f[1]), idx(hadr.Side(f[2])))
	case "land":
		s.w.land(Kind(f[1]), idx(hadr.Side(f[2])))
	case "answer": // answer KIND refused|lost|lost-but-done, or late ROUNDS; answer normal
		kind := f[1]
		if kind == "normal" {
			s.answer = nil
			break
		}
		what, rounds := f[2], 0
		if what == "late" {
			var err error
			if rounds, err = strconv.Atoi(f[3]); err != nil {
				t.Fatal(err)
			}
		}
		s.answer = func(s *sim, st Statement) (Answer, bool) {
			if string(st.Kind) != kind {
				return AnswerAccepted, true
			}
			if what == "late" {
				s.w.defer_(st.Kind, idx(st.Side), int8(rounds))
			}
			return map[string]Answer{"refused": AnswerRefused, "lost": AnswerUnknown, "lost-but-done": AnswerUnknown}[what], what == "lost-but-done"
		}
	default:
		t.Fatalf("no event %q", ev)
	}
	return s
}
