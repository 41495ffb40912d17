package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
	"github.com/dag-exporter/dag_exporter/internal/lab/views"
	"github.com/dag-exporter/dag_exporter/internal/tds"
	"github.com/dag-exporter/dag_exporter/internal/tsql"
)

// Lab is a running pair.
type Lab struct {
	opt       Options
	log       *slog.Logger
	engine    *engine
	views     views.Set
	cert      tls.Certificate
	pem       []byte
	evaluate  chan struct{} // bounds how many statements are evaluated at once
	nodes     [2][]*node
	rules     rules
	functions map[string]function
	run       *Run // nil: no schedule

	mu     sync.Mutex
	logins map[string]*Login

	started bool
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// New prepares a lab; nothing listens before Start.
func New(opt Options) (*Lab, error) {
	if opt.Clock == nil {
		opt.Clock = realClock{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.CertificateExpiry.IsZero() {
		opt.CertificateExpiry = opt.Clock.Now().AddDate(10, 0, 0)
	}
	for i := range opt.Listen {
		if opt.Listen[i] == "" {
			opt.Listen[i] = "127.0.0.1:0"
		}
	}
	l := &Lab{opt: opt, log: opt.Logger, engine: newEngine(opt.Clock), views: views.New(), functions: scalarFunctions(), logins: map[string]*Login{},
		evaluate: make(chan struct{}, max(runtime.GOMAXPROCS(0), 2))}
	l.rules.clock = opt.Clock
	for i, side := range opt.Model.Sides {
		if side.Collation == "" {
			continue
		}
		if err := tsql.CheckCollation(side.Collation); err != nil {
			return nil, fmt.Errorf("%s: collation: %s", Side(i), err.Message)
		}
	}
	for _, g := range append([]Login{{Name: SA, Password: SAPassword, Sysadmin: true}}, opt.Logins...) {
		if err := l.setLogin(g); err != nil {
			return nil, err
		}
	}
	var err error
	if opt.Schedule != nil {
		if l.run, err = newRun(l, *opt.Schedule); err != nil {
			return nil, err
		}
	}
	if l.engine.m, err = model.New(opt.Model, opt.Clock.Now(), model.Hooks{Kill: l.killSessions, Statement: l.statementSeen}); err != nil {
		return nil, err
	}
	if l.cert, l.pem, err = tds.SelfSigned(opt.Hosts...); err != nil {
		return nil, err
	}
	for _, side := range []Side{Source, Target} {
		for _, i := range l.engine.m.Instances(side) {
			l.nodes[side] = append(l.nodes[side], newNode(l, i))
		}
	}
	if l.run != nil {
		l.run.arm(l.engine.m)
	}
	return l, nil
}

// Start listens and lets the model live until ctx ends or Close is called.
func (l *Lab) Start(ctx context.Context) error {
	if l.started {
		return errors.New("lab: started twice")
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.started = true
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		l.engine.run(ctx)
	}()
	for side, nodes := range l.nodes {
		for i, n := range nodes {
			address := l.opt.Listen[side]
			if i > 0 {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					l.Close()
					return fmt.Errorf("lab: listen address of the %s: %w", Side(side), err)
				}
				address = net.JoinHostPort(host, "0")
			}
			if err := n.listen(address); err != nil {
				l.Close()
				return fmt.Errorf("lab: %s: %w", Side(side), err)
			}
		}
	}
	if l.run != nil {
		l.running.Add(1)
		go func() {
			defer l.running.Done()
			l.run.serve(ctx.Done())
		}()
	}
	stop := context.AfterFunc(ctx, l.stopNodes)
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		<-ctx.Done()
		if !stop() {
			return
		}
		l.stopNodes()
	}()
	return nil
}

func (l *Lab) stopNodes() {
	for _, nodes := range l.nodes {
		for _, n := range nodes {
			n.stop()
		}
	}
}

// Close ends every connection and the model. Nothing of the lab is left when it returns.
func (l *Lab) Close() {
	l.closing.Do(func() {
		l.stopNodes()
		if l.cancel != nil {
			l.cancel()
		}
		l.running.Wait()
	})
}

// Done is closed when the lab has ended, or is about to.
func (l *Lab) Done() <-chan struct{} { return l.engine.done }

// Address is host:port of a side's first instance; of another one with AddressOf.
func (l *Lab) Address(side Side) string { return l.AddressOf(side, 0) }

// AddressOf is host:port of an instance of a side.
func (l *Lab) AddressOf(side Side, instance int) string { return l.nodes[side][instance].address() }

// CertificatePEM is what clients must trust.
func (l *Lab) CertificatePEM() []byte { return l.pem }

// DSN is a go-mssqldb URL for sa in master on a side's first instance, encrypted, trusting the lab's certificate.
func (l *Lab) DSN(side Side) string { return l.DSNFor(l.Address(side), SA, SAPassword, "master") }

// DSNFor is DSN for any address, login and database.
func (l *Lab) DSNFor(address, user, password, database string) string {
	q := url.Values{"database": {database}, "encrypt": {"true"}, "trustservercertificate": {"true"}}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(user, password), Host: address, RawQuery: q.Encode()}
	return u.String()
}

func (l *Lab) node(side Side, instance int) (*node, error) {
	if side < 0 || int(side) >= len(l.nodes) || instance < 0 || instance >= len(l.nodes[side]) {
		return nil, fmt.Errorf("no instance %d on side %d", instance, side)
	}
	return l.nodes[side][instance], nil
}

// killSessions is the model's hook; it runs on the model's goroutine.
func (l *Lab) killSessions(i *model.Instance, all bool) {
	for _, n := range l.nodes[i.Side] {
		if n.inst != i {
			continue
		}
		for _, s := range i.Sessions() {
			if c := i.Copy(s.Database); all || c != nil && c.InGroup() {
				n.kill(s.ID, nil)
			}
		}
	}
}

// statementSeen is the model's hook; it runs on the model's goroutine.
func (l *Lab) statementSeen(i *model.Instance, class string, effect bool) {
	if l.run == nil {
		return
	}
	phase := "accepted"
	if effect {
		phase = "effect"
	}
	l.run.seen(l.engine.m, i.Side, phase, func(c string) bool { return c == class })
}

// node is one instance's listener.
type node struct {
	lab  *Lab
	inst *model.Instance
	cfg  model.InstanceConfig // as configured; what can be changed later is the model's
	addr string

	offset atomic.Int64 // of its clock

	mu     sync.Mutex
	server *tds.Server
	cancel context.CancelFunc
	done   chan struct{}
	conns  map[int]tds.ConnInfo
}

func newNode(l *Lab, i *model.Instance) *node {
	n := &node{lab: l, inst: i, cfg: i.Config(), conns: map[int]tds.ConnInfo{}}
	n.offset.Store(int64(n.cfg.ClockOffset))
	return n
}

// address is host:port; a restart keeps it.
func (n *node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// forget is the end of a connection.
func (n *node) forget(c tds.ConnInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[c.SPID].ID == c.ID {
		delete(n.conns, c.SPID)
	}
}

var versions = map[int]string{13: "13.0.6300.2", 14: "14.0.3456.2", 15: "15.0.4355.3", 16: "16.0.4165.4", 17: "17.0.4065.4"}

// listen starts the TDS server; address is kept, so that a restart finds it again.
func (n *node) listen(address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	cfg := n.cfg
	server, err := tds.NewServer(n, tds.Config{Certificate: n.lab.cert, ForceEncryption: n.lab.opt.ForceEncryption, Version: versions[cfg.Major],
		ServerName: cfg.ServerName, Logger: n.lab.log, Faults: n})
	if err != nil {
		_ = ln.Close() // the other error says more
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n.mu.Lock()
	n.server, n.cancel, n.done, n.addr = server, cancel, done, ln.Addr().String()
	n.mu.Unlock()
	go func() {
		defer close(done)
		if err := server.Serve(ctx, ln); err != nil {
			n.lab.log.Error("listener ended", "server", cfg.ServerName, "err", err)
		}
	}()
	return nil
}

// stop closes the listener and every connection, and waits for them.
func (n *node) stop() {
	n.mu.Lock()
	server, cancel, done := n.server, n.cancel, n.done
	n.server = nil
	n.mu.Unlock()
	if server == nil {
		return
	}
	cancel()
	if err := server.Close(); err != nil {
		n.lab.log.Warn("closing", "err", err)
	}
	<-done
}

func (n *node) freeze(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		n.server.Freeze(on)
	}
}

// kill ends a session; with a nil error without a word.
func (n *node) kill(spid int, e *tds.Error) bool {
	n.mu.Lock()
	c, ok := n.conns[spid]
	n.mu.Unlock()
	if ok {
		c.Kill(e)
	}
	return ok
}

func (n *node) port() int {
	_, p, err := net.SplitHostPort(n.address())
	if err != nil {
		return 0
	}
	v, err := net.LookupPort("tcp", p)
	if err != nil {
		return 0
	}
	return v
}

// now is the instance's wall clock, in its own zone.
func (n *node) now() time.Time {
	t := n.lab.opt.Clock.Now().Add(time.Duration(n.offset.Load()))
	if n.cfg.Zone == nil {
		return t.UTC()
	}
	return t.In(n.cfg.Zone)
}
