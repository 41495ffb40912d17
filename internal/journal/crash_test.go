package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/cutover"
)

const childDir = "JOURNAL_TEST_CHILD_DIR"

// child writes for ever, and says on stdout what it was told is on disk.
func child() {
	j, err := Open(os.Getenv(childDir))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	rec, err := j.Unfinished("erp")
	if err != nil || rec == nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	n, _ := strconv.Atoi(rec.Intent.PlanHash)
	fmt.Println("ready")
	for {
		n++
		text := strconv.Itoa(n)
		// Big enough that a write takes several pages.
		if err := j.Put("r1", cutover.Intent{Run: "r1", PlanHash: text, ArmedBy: strings.Repeat("x", 20000)}, NewEvent(time.Now(), "n", text, nil)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestKill9 kills a process in mid-write, again and again, and holds what is
// on disk against what that process had been promised.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	begun(t, j, "erp", "r1")
	if err := j.Put("r1", cutover.Intent{Run: "r1", PlanHash: "0"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		promised := killed(t, dir, round)
		j, err := Open(dir)
		if err != nil {
			t.Fatalf("round %d: reopen: %v", round, err)
		}
		rec, err := j.Load("r1")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		got, _ := strconv.Atoi(rec.Intent.PlanHash)
		// One more than promised may be there: it was written, and the
		// process died before it could say so.
		if got < promised || got > promised+1 {
			t.Errorf("round %d: intent %d on disk, %d was promised", round, got, promised)
		}
		if last := rec.Events[len(rec.Events)-1].Text; last != rec.Intent.PlanHash {
			t.Errorf("round %d: intent %s and last event %s are not of one write", round, rec.Intent.PlanHash, last)
		}
		if len(rec.Events) != got+1 {
			t.Errorf("round %d: %d events for %d writes", round, len(rec.Events)-1, got)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killed runs child, kills it after some writes, and gives the last number
// that it was promised.
func killed(t *testing.T, dir string, round int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	promised, writes := 0, 0
	in := bufio.NewScanner(out)
	for in.Scan() {
		line := in.Text()
		if strings.HasPrefix(line, "error") {
			t.Errorf("child: %s", line)
		}
		if n, err := strconv.Atoi(line); err == nil {
			promised = n
			if writes++; writes == 3+round {
				// Not at once: somewhere inside the next write.
				time.Sleep(time.Duration(round) * 300 * time.Microsecond)
				_ = cmd.Process.Kill()
			}
		}
	}
	_ = cmd.Wait() // killed: its exit status says nothing
	return promised
}
