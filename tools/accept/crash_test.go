//go:build accept

package accept

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// crashPhases are the phases at whose sight the webhook is killed with -9. The
// lab's delays make each long enough to be seen.
var crashPhases = []string{"lock", "set_synchronous", "wait_synchronized", "quiesce", "drain", "require", "demote", "confirm_demoted", "prove", "promote", "after"}

// TestKilled: whatever moment the webhook dies at, after its restart the run
// ends, exactly one side is PRIMARY with RSSTC=0, and no acknowledged row is
// missing there. Every program is a process of its own here; every step, and
// what else may go wrong with it, is the fault matrix (internal/faultrun).
func TestKilled(t *testing.T) {
	for _, phase := range []string{"set_synchronous", "drain", "demote", "promote"} {
		t.Run(phase, func(t *testing.T) {
			w := newCrashWorld(t)
			first := w.webhook()
			w.arm()
			w.post("ops", "run", `{"reason": "test"}`)
			w.killAt(first, phase)
			w.webhook()
			end := w.ended()
			t.Logf("killed at %s, ended as %s", phase, end)
			if !slices.Contains([]string{"done", "aborted", "rolled_back"}, end) {
				t.Errorf("ended as %q", end)
			}
			w.check(end)
		})
	}
}

// crashWorld is a lab, a writing client, and a webhook that can be killed.
type crashWorld struct {
	t      *testing.T
	dir    string
	lab    lab
	addr   string
	secret string

	mu     sync.Mutex
	side   string
	paused bool
	acked  []int64
	unsure []int64
}

func newCrashWorld(t *testing.T) *crashWorld {
	w := &crashWorld{t: t, dir: t.TempDir(), addr: freeAddress(t), secret: "ops-Secret-1", side: "source"}
	w.lab = startLab(t, w.dir, "--databases=2", "--delay.demote=400ms", "--delay.failover=400ms")

	mux := http.NewServeMux()
	set := func(paused bool, side string) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.paused = paused
			if side != "" {
				w.side = side
			}
		}
	}
	mux.HandleFunc("POST /quiesce", set(true, ""))
	mux.HandleFunc("POST /unquiesce", set(false, "source"))
	mux.HandleFunc("POST /repoint", set(false, "target"))
	hooks := httptest.NewServer(mux)
	t.Cleanup(hooks.Close)

	hash, err := bcrypt.GenerateFromPassword([]byte(w.secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "web.yml", fmt.Sprintf("basic_auth_users:\n  am: %s\n  ops: %s\n  lead: %s\n", hash, hash, hash))
	write(t, w.dir, "dag.yml", config(w.lab.dsn(w.lab.Source, "master"), w.lab.dsn(w.lab.Target, "master"), "databases: [db001, db002]",
		fmt.Sprintf("cutover: {mode: execute, start_at: near, alert_match: {environment: prod}, settle: 2s, split_watch: 2s, hooks: {quiesce: {url: %[1]s/quiesce}, unquiesce: {url: %[1]s/unquiesce}, repoint: {url: %[1]s/repoint}}}", hooks.URL))+
		"webhook:\n  roles: {receiver: [am], viewer: [\"*\"], operator: [ops], approver: [lead]}\n")

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.client(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// client writes into db001 on whichever side it was pointed to.
func (w *crashWorld) client(ctx context.Context) {
	pools := map[string]*sql.DB{}
	for side, addr := range map[string]string{"source": w.lab.Source, "target": w.lab.Target} {
		db, err := sql.Open("sqlserver", w.lab.dsn(addr, "db001")+"&dial+timeout=2")
		if err != nil {
			w.t.Error(err)
			return
		}
		defer db.Close()
		pools[side] = db
	}
	for id := int64(1); ctx.Err() == nil; id++ {
		w.mu.Lock()
		side, paused := w.side, w.paused
		w.mu.Unlock()
		if !paused {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := pools[side].ExecContext(ctx, "INSERT INTO dbo.ledger (id, note) VALUES (@p1, N'crash')", id)
			cancel()
			w.mu.Lock()
			if err == nil {
				w.acked = append(w.acked, id)
			} else {
				w.unsure = append(w.unsure, id)
			}
			w.mu.Unlock()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (w *crashWorld) webhook() *process {
	p := start(w.t, w.dir, program(w.t, "cutover_webhook"), "serve", "--config.file=dag.yml", "--web.config.file=web.yml",
		"--web.listen-address="+w.addr, "--storage.path="+filepath.Join(w.dir, "data"))
	eventually(w.t, "the webhook answers", func() error { _, err := w.status(); return err })
	return p
}

type runStatus struct {
	Phase       string `json:"phase"`
	Reason      string `json:"reason"`
	Run         string `json:"run"`
	LastRun     string `json:"last_run"`
	LastOutcome string `json:"last_outcome"`
	PlanHash    string `json:"plan_hash"`
	Pages       []struct {
		Text string `json:"text"`
	} `json:"pages"`
}

func (w *crashWorld) status() (s runStatus, err error) {
	code, body, err := get("http://"+w.addr+"/api/v1/dags/erp", "ops", w.secret)
	if err != nil {
		return s, err
	}
	if code != http.StatusOK {
		return s, fmt.Errorf("%d %s", code, body)
	}
	return s, json.Unmarshal([]byte(body), &s)
}

func (w *crashWorld) post(user, verb, body string) {
	w.t.Helper()
	eventually(w.t, verb, func() error {
		req, err := http.NewRequest(http.MethodPost, "http://"+w.addr+"/api/v1/dags/erp/"+verb, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth(user, w.secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			var b [512]byte
			n, _ := resp.Body.Read(b[:])
			return fmt.Errorf("%s: %s", resp.Status, b[:n])
		}
		return nil
	})
}

func (w *crashWorld) arm() {
	w.t.Helper()
	// The alert path must be alive, and the lease held, as in real life.
	beat := func(name string) {
		body := fmt.Sprintf(`{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":%q,"dag":"erp","environment":"prod"}}]}`, name)
		req, err := http.NewRequest(http.MethodPost, "http://"+w.addr+"/api/v1/alerts", strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("am", w.secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	var hash string
	eventually(w.t, "a plan", func() error {
		s, err := w.status()
		if err == nil && s.PlanHash == "" {
			err = fmt.Errorf("none yet: %s", s.Reason)
		}
		hash = s.PlanHash
		return err
	})
	w.post("ops", "arm", fmt.Sprintf(`{"plan_hash": %q, "reason": "test"}`, hash))
	w.post("lead", "approve", fmt.Sprintf(`{"plan_hash": %q, "reason": "test"}`, hash))
	beat("DAGWatchdog")
}

// killAt kills when the phase, or a later one, is seen.
func (w *crashWorld) killAt(p *process, phase string) {
	w.t.Helper()
	at := slices.Index(crashPhases, phase)
	eventually(w.t, "phase "+phase, func() error {
		for range 100 {
			s, err := w.status()
			if err != nil {
				return err
			}
			if slices.Index(crashPhases, s.Phase) >= at || s.LastOutcome != "" {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
		s, err := w.status()
		if err != nil {
			return err
		}
		return fmt.Errorf("still %s: %s", s.Phase, s.Reason)
	})
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
}

// ended waits for the run's end.
func (w *crashWorld) ended() (outcome string) {
	w.t.Helper()
	eventually(w.t, "the run ends", func() error {
		s, err := w.status()
		if err != nil {
			return err
		}
		if s.Run != "" || s.LastOutcome == "" {
			return fmt.Errorf("phase %s: %s; pages %v", s.Phase, s.Reason, s.Pages)
		}
		outcome = s.LastOutcome
		return nil
	})
	return outcome
}

// check reads both servers with an ordinary client.
func (w *crashWorld) check(outcome string) {
	w.t.Helper()
	addr, other := w.lab.Source, w.lab.Target
	if outcome == "done" {
		addr, other = other, addr
	}
	const role = `SELECT ars.role_desc FROM sys.dm_hadr_availability_replica_states ars
JOIN sys.availability_groups ag ON ag.group_id = ars.group_id WHERE ag.is_distributed = 1 AND ars.is_local = 1`
	const rsstc = `SELECT required_synchronized_secondaries_to_commit FROM sys.availability_groups WHERE is_distributed = 1`
	for query, want := range map[[2]string]string{{addr, role}: "PRIMARY", {other, role}: "SECONDARY", {addr, rsstc}: "0"} {
		if got := w.one(query[0], "master", query[1]); got != want {
			w.t.Errorf("%s: %s, want %s", query[1], got, want)
		}
	}
	w.mu.Lock()
	w.paused = true
	acked := slices.Clone(w.acked)
	w.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	db, err := sql.Open("sqlserver", w.lab.dsn(addr, "db001"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(w.t.Context(), "SELECT id FROM dbo.ledger")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	have := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			w.t.Fatal(err)
		}
		have[id] = true
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	missing := 0
	for _, id := range acked {
		if !have[id] {
			missing++
		}
	}
	if missing > 0 || len(acked) == 0 {
		w.t.Errorf("%d of %d acknowledged rows are missing", missing, len(acked))
	}
}

func (w *crashWorld) one(addr, database, query string) (s string) {
	w.t.Helper()
	db, err := sql.Open("sqlserver", w.lab.dsn(addr, database))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(w.t.Context(), query).Scan(&s); err != nil {
		w.t.Fatal(err)
	}
	return s
}
