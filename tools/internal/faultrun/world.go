package faultrun

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/tools/internal/freeport"
)

// quick makes everything that takes time in the lab take little.
var quick = model.Timing{Demote: 20 * time.Millisecond, Resolving: 20 * time.Millisecond, Failover: 20 * time.Millisecond, Recovery: 30 * time.Millisecond,
	Relink: 150 * time.Millisecond, Undo: 50 * time.Millisecond, Revert: 20 * time.Millisecond, Reconnect: 50 * time.Millisecond, Modify: 5 * time.Millisecond,
	SessionTimeout: 300 * time.Millisecond, Background: 5 * time.Second}

const (
	// lateBy is when a late effect comes: after the webhook was started again,
	// within settle, which is what it was told about this pair of servers.
	lateBy  = 3 * time.Second
	settle  = 4500 * time.Millisecond
	healing = time.Second            // default of Hit.Heal
	dying   = 250 * time.Millisecond // from a hit to the kill, at most
)

// passwordHash is bcrypt at its cheapest: the webhook checks it at every call.
var passwordHash = sync.OnceValues(func() ([]byte, error) { return bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost) })

// world is everything around one case.
type world struct {
	c       *Case
	program string
	dir     string
	out     *output // of every webhook process
	lab     *lab.Lab
	hooks   *httptest.Server
	writer  *writer
	began   time.Time

	mu       sync.Mutex
	addr     string
	proc     *process
	track    tracker
	steps    int
	armed    bool // the run was asked for: hits count from here
	hits     []Hit
	dieNext  bool      // kill at the next sign of life
	dieAt    time.Time // kill then at the latest; zero: not
	heal     func()    // what ends the present disturbance
	struck   []string
	trace    []string
	hookSeq  int
	killed   chan struct{} // a value per kill
	stayHeal chan Hit      // hits without a kill
}

func newWorld(c *Case, program string) (w *world, err error) {
	w = &world{c: c, program: program, out: &output{}, hits: c.Hits, killed: make(chan struct{}, 16), stayHeal: make(chan Hit, 16), began: time.Now()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp(memory(), "faultrun-*"); err != nil {
		return w, err
	}
	mc := model.Config{Seed: c.Seed, Timing: quick, Databases: model.Names(2), Assume: c.Assume}
	// The sides' walls are never in one zone, as in a migration to a cloud:
	// nothing that a run does may hang on what hour a server shows.
	east := [2]time.Duration{330 * time.Minute, -240 * time.Minute}
	for s, major := range c.Majors {
		mc.Sides[s].Instances = []model.InstanceConfig{{Major: major, Zone: time.FixedZone("", int(east[s].Seconds()))}}
	}
	if w.lab, err = lab.New(lab.Options{Model: mc, Request: w.request, Schedule: c.Schedule}); err != nil {
		return w, err
	}
	if err = w.lab.Start(context.Background()); err != nil {
		return w, err
	}
	mux := http.NewServeMux()
	for name, set := range map[string]func(){
		"quiesce":   func() { w.writer.set(true, w.writer.where()) },
		"unquiesce": func() { w.writer.set(false, lab.Source) },
		"repoint":   func() { w.writer.set(false, lab.Target) },
	} {
		mux.HandleFunc("POST /"+name, func(rw http.ResponseWriter, _ *http.Request) { w.hook(rw, name, set) })
	}
	w.hooks = httptest.NewServer(mux)
	if w.writer, err = newWriter(w.lab); err != nil {
		return w, err
	}
	return w, w.configure()
}

// memory is a folder that no disk is behind, if there is one: kill -9 of a
// process loses nothing that it wrote there, and hundreds of journals need no
// disk.
func memory() string {
	const shm = "/dev/shm"
	if i, err := os.Stat(shm); err == nil && i.IsDir() {
		return shm
	}
	return ""
}

func (w *world) configure() error {
	hash, err := passwordHash()
	if err != nil {
		return err
	}
	cut := fmt.Sprintf("mode: execute, alert_match: {environment: prod}, approvals: 0, settle: %s, settle_interval: 40ms, split_watch: 1s, max_write_unavailable: 15s, require_exposure: 8s, max_duration: 60s",
		settle)
	if w.c.Hookless {
		cut += ", start_at: caught_up, quiet_programs: [writer], hooks: {repoint: {url: %[1]s/repoint}}"
	} else {
		cut += ", start_at: near, hooks: {quiesce: {url: %[1]s/quiesce, timeout: 2s}, unquiesce: {url: %[1]s/unquiesce, timeout: 2s}, repoint: {url: %[1]s/repoint, timeout: 2s}}"
	}
	if w.c.Assume.SingleReplicaNull {
		// last_hardened_lsn is NULL there by itself: the DBA approves the other column.
		cut += ", proof_basis: end_of_log"
	}
	text := fmt.Sprintf("dags:\n  - name: erp\n    group: DAG\n    source: {ag: OnPremAG, instances: [%q]}\n    target: {ag: AzureAG, instances: [%q]}\n    databases: [db001, db002]\n    cross_version: %t\n    cutover: {%s}\n"+
		"webhook:\n  roles: {receiver: [ops], viewer: [\"*\"], operator: [ops], approver: [ops]}\n",
		w.lab.DSN(lab.Source), w.lab.DSN(lab.Target), w.c.crossVersion(), fmt.Sprintf(cut, w.hooks.URL))
	return errors.Join(
		os.WriteFile(filepath.Join(w.dir, "dag.yml"), []byte(text), 0o600),
		os.WriteFile(filepath.Join(w.dir, "web.yml"), fmt.Appendf(nil, "basic_auth_users:\n  %s: %s\n", operator, hash), 0o600))
}

// close ends whatever there is; nothing is left behind.
func (w *world) close() {
	w.mu.Lock()
	p := w.proc
	w.hits, w.dieNext, w.dieAt = nil, false, time.Time{}
	w.mu.Unlock()
	if p != nil {
		p.kill()
	}
	if w.writer != nil {
		w.writer.close()
	}
	if w.hooks != nil {
		w.hooks.CloseClientConnections()
		w.hooks.Close()
	}
	if w.lab != nil {
		w.lab.Close()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir) // a temporary folder
	}
}

func (w *world) address() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addr
}

// start runs the webhook until it answers.
func (w *world) start() error {
	for try := 0; ; try++ {
		addr, err := freeport.Address()
		if err != nil {
			return err
		}
		p, err := startProcess(w.dir, w.out, w.program, "serve", "--config.file=dag.yml", "--web.config.file=web.yml",
			"--web.listen-address="+addr, "--storage.path="+filepath.Join(w.dir, "data"))
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.proc, w.addr = p, addr
		w.mu.Unlock()
		for end := time.Now().Add(30 * time.Second); p.alive() && time.Now().Before(end); time.Sleep(15 * time.Millisecond) {
			if _, err := w.status(); err == nil {
				return nil
			}
			if len(w.killed) > 0 {
				return nil // a hit meant for the old process met the new one: the loop starts it again
			}
		}
		if p.alive() || try >= 3 {
			p.kill()
			return fmt.Errorf("the webhook does not come up:\n%s", w.out)
		}
	}
}

func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logLocked(format, args...)
}

func (w *world) logLocked(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%8s ", time.Since(w.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}
