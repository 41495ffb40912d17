package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/alter"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// Args is the body of a control request: each command reads the fields that it knows.
type Args struct {
	Side      string             `json:"side,omitempty"`
	Instance  int                `json:"instance,omitempty"`
	Database  string             `json:"database,omitempty"`
	Rows      float64            `json:"rows,omitempty"`
	Bytes     int                `json:"bytes,omitempty"`
	Latency   Duration           `json:"latency,omitempty"`
	Bandwidth int64              `json:"bandwidth,omitempty"`
	On        *bool              `json:"on,omitempty"`
	Reason    string             `json:"reason,omitempty"`
	ID        uint64             `json:"id,omitempty"`
	Commit    bool               `json:"commit,omitempty"`
	VLF       uint32             `json:"vlf,omitempty"`
	Block     uint32             `json:"block,omitempty"`
	Column    string             `json:"column,omitempty"`
	Value     string             `json:"value,omitempty"`
	Force     bool               `json:"force,omitempty"`
	Fail      *int               `json:"fail,omitempty"`
	Offset    Duration           `json:"offset,omitempty"`
	KBps      int64              `json:"kbps,omitempty"`
	Statement string             `json:"statement,omitempty"`
	Session   int                `json:"session,omitempty"`
	Timing    map[string]string  `json:"timing,omitempty"`
	Assume    *model.Assumptions `json:"assume,omitempty"`
	Fault     *Fault             `json:"fault,omitempty"`
	Login     *Login             `json:"login,omitempty"`
}

func (a Args) side() (Side, error) {
	switch a.Side {
	case "source":
		return Source, nil
	case "target":
		return Target, nil
	}
	return 0, fmt.Errorf("side must be source or target, not %q", a.Side)
}

type controlCommand struct {
	help string
	run  func(c *Control, s Side, a Args) (any, error)
	any  bool // needs no side
}

func ok(err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]bool{"ok": true}, nil
}

// commands is the table of the control API.
func controlCommands() map[string]controlCommand {
	return map[string]controlCommand{
		"load": {"rows=N [database=] [bytes=]: write transactions per second, not in dbo.ledger; 0 ends them", func(c *Control, _ Side, a Args) (any, error) { return ok(c.Load(a.Database, a.Rows, a.Bytes)) }, true},
		"link": {"latency=2ms bandwidth=BYTES_PER_S: the path between the sides", func(c *Control, _ Side, a Args) (any, error) { return ok(c.Link(a.Latency.d(), a.Bandwidth)) }, true},
		"cut":  {"break the path between the sides without a word", func(c *Control, _ Side, _ Args) (any, error) { return ok(c.Cut()) }, true},
		"heal": {"repair it", func(c *Control, _ Side, _ Args) (any, error) { return ok(c.Heal()) }, true},
		"local-link": {"side= latency= bandwidth=: the path between the instances of a side", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.LocalLink(s, a.Latency.d(), a.Bandwidth))
		}, false},
		"cut-local":  {"side=: break the path between the instances of a side", func(c *Control, s Side, _ Args) (any, error) { return ok(c.CutLocal(s)) }, false},
		"heal-local": {"side=: repair it", func(c *Control, s Side, _ Args) (any, error) { return ok(c.HealLocal(s)) }, false},
		"stop":       {"side= [instance=]: crash an instance", func(c *Control, s Side, a Args) (any, error) { return ok(c.Stop(s, a.Instance)) }, false},
		"start":      {"side= [instance=]: start it again", func(c *Control, s Side, a Args) (any, error) { return ok(c.Start(s, a.Instance)) }, false},
		"restart": {"side= [instance=]: stop and start", func(c *Control, s Side, a Args) (any, error) {
			if err := c.Stop(s, a.Instance); err != nil {
				return nil, err
			}
			return ok(c.Start(s, a.Instance))
		}, false},
		"freeze":   {"side= [instance=]: hang an instance", func(c *Control, s Side, a Args) (any, error) { return ok(c.Freeze(s, a.Instance)) }, false},
		"unfreeze": {"side= [instance=]", func(c *Control, s Side, a Args) (any, error) { return ok(c.Unfreeze(s, a.Instance)) }, false},
		"refuse-logins": {"side= [instance=] [on=false]: 18456 for everybody", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.RefuseLogins(s, a.Instance, a.On == nil || *a.On))
		}, false},
		"suspend": {"side= [database=] [reason=USER|PARTNER|REDO]", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.Suspend(s, a.Instance, a.Database, a.Reason))
		}, false},
		"resume": {"side= [database=]", func(c *Control, s Side, a Args) (any, error) { return ok(c.Resume(s, a.Instance, a.Database)) }, false},
		"client-latency": {"side= latency=50ms: round trip between clients and the instance", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.ClientLatency(s, a.Instance, a.Latency.d()))
		}, false},
		"fault": {`fault={"class":"s3","lose":"after"}: arm a fault`, func(c *Control, _ Side, a Args) (any, error) {
			if a.Fault == nil {
				return nil, errors.New("fault is missing")
			}
			id, err := c.Fault(*a.Fault)
			return map[string]int{"id": id}, err
		}, true},
		"clear-faults": {"disarm all", func(c *Control, _ Side, _ Args) (any, error) { c.ClearFaults(); return ok(nil) }, true},
		"open-transaction": {"side= database= [rows=1]: leave a transaction open", func(c *Control, s Side, a Args) (any, error) {
			if a.Rows == 0 {
				a.Rows = 1
			}
			id, err := c.OpenTransaction(s, a.Instance, a.Database, int(a.Rows))
			return map[string]uint64{"id": id}, err
		}, false},
		"end-transaction": {"side= [id=] [commit=true]: end one of them, or all", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.EndTransaction(s, a.Instance, a.ID, a.Commit))
		}, false},
		"place-log": {"database= vlf= block=: renumber a log", func(c *Control, _ Side, a Args) (any, error) { return ok(c.PlaceLog(a.Database, a.VLF, a.Block)) }, true},
		"override-lsn": {"side= database= column= value=LSN|null|: what the instance's own row reads", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.OverrideLSN(s, a.Instance, a.Database, a.Column, a.Value))
		}, false},
		"local-failover": {"side= instance= [force=true]", func(c *Control, s Side, a Args) (any, error) { return ok(c.LocalFailover(s, a.Instance, a.Force)) }, false},
		"rsstc": {"side= value=0|1", func(c *Control, s Side, a Args) (any, error) {
			var n int
			if _, err := fmt.Sscan(a.Value, &n); err != nil {
				return nil, fmt.Errorf("value: %w", err)
			}
			return ok(c.RSSTC(s, n))
		}, false},
		"execute": {"side= statement= [instance=]: run an ALTER or DROP AVAILABILITY GROUP or ALTER DATABASE … SET HADR as sysadmin on the side's primary; the latter on another instance if one is given", func(c *Control, s Side, a Args) (any, error) {
			st, e := alter.Parse(a.Statement)
			if e != nil {
				return nil, e
			}
			switch st := st.(type) {
			case model.Statement:
				return ok(c.Execute(s, st))
			case alter.HADR:
				return ok(c.SetHADR(s, a.Instance, st))
			}
			return nil, errors.New("not an ALTER or DROP AVAILABILITY GROUP, nor an ALTER DATABASE … SET HADR")
		}, false},
		"seed": {"side= database= [instance=] [bytes=] [fail=0…25]: take a copy out of its group and seed it from its primary; with fail half way only, see failure_state", func(c *Control, s Side, a Args) (any, error) {
			fail := -1
			if a.Fail != nil {
				if fail = *a.Fail; fail < 0 {
					return nil, errors.New("fail is a failure_state, 0 to 25, or that and 100 or 200")
				}
			}
			return ok(c.Seed(s, a.Instance, a.Database, int64(a.Bytes), fail))
		}, false},
		"timing": {`timing={"failover":"90s"}: how long things take`, func(c *Control, _ Side, a Args) (any, error) {
			t, err := timing(a.Timing)
			if err != nil {
				return nil, err
			}
			return ok(c.Timing(t))
		}, true},
		"assume": {`assume={"RSSTCUnmetWaits":true}: replace the assumptions`, func(c *Control, _ Side, a Args) (any, error) {
			if a.Assume == nil {
				return nil, errors.New("assume is missing")
			}
			return ok(c.Assume(*a.Assume))
		}, true},
		"clock":  {"side= offset=3s", func(c *Control, s Side, a Args) (any, error) { return ok(c.ClockOffset(s, a.Instance, a.Offset.d())) }, false},
		"redo":   {"side= kbps=N: redo speed, negative stops it", func(c *Control, s Side, a Args) (any, error) { return ok(c.Redo(s, a.Instance, a.KBps)) }, false},
		"flush":  {"side= latency=1ms: time to harden a block", func(c *Control, s Side, a Args) (any, error) { return ok(c.Flush(s, a.Instance, a.Latency.d())) }, false},
		"access": {"side= value=NO|READ_ONLY|ALL: who may read what is not writable", func(c *Control, s Side, a Args) (any, error) { return ok(c.Access(s, a.Instance, a.Value)) }, false},
		"database-state": {"side= [database=] value=RESTORING|RECOVERING|RECOVERY_PENDING|SUSPECT|OFFLINE|ONLINE: put it there, whatever the model thinks; its log stands still", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.DatabaseState(s, a.Instance, a.Database, a.Value))
		}, false},
		"sync-state": {"side= [database=] value=REVERTING|INITIALIZING|NOT SYNCHRONIZING|: what it reads; its log stands still; empty is the truth again", func(c *Control, s Side, a Args) (any, error) {
			return ok(c.SyncState(s, a.Instance, a.Database, a.Value))
		}, false},
		"checkpoint": {"side= database=", func(c *Control, s Side, a Args) (any, error) { return ok(c.Checkpoint(s, a.Instance, a.Database)) }, false},
		"login": {`login={"name":…,"password":…,"permissions":[…]}: add or replace a login`, func(c *Control, _ Side, a Args) (any, error) {
			if a.Login == nil {
				return nil, errors.New("login is missing")
			}
			return ok(c.Login(*a.Login))
		}, true},
		"kill": {"side= session=N", func(c *Control, s Side, a Args) (any, error) { return ok(c.KillSession(s, a.Instance, a.Session)) }, false},
	}
}

func timing(in map[string]string) (model.Timing, error) {
	var t model.Timing
	fields := map[string]*time.Duration{"modify": &t.Modify, "demote": &t.Demote, "resolving": &t.Resolving, "failover": &t.Failover, "recovery": &t.Recovery,
		"relink": &t.Relink, "undo": &t.Undo, "revert": &t.Revert, "reconnect": &t.Reconnect, "session_timeout": &t.SessionTimeout, "lazy_flush": &t.LazyFlush,
		"background": &t.Background}
	for k, v := range in {
		f := fields[strings.ToLower(k)]
		if f == nil {
			return t, fmt.Errorf("unknown delay %q", k)
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			return t, fmt.Errorf("%s: %w", k, err)
		}
		if *f = d; d <= 0 {
			*f = -1
		}
	}
	return t, nil
}

// CommandHelp lists the control commands, one a line, for `dag_lab ctl`.
func CommandHelp() []string {
	var out []string
	for name, c := range controlCommands() {
		out = append(out, fmt.Sprintf("%-17s %s", name, c.help))
	}
	sort.Strings(out)
	return out
}

// Run runs one control command by its name.
func (c *Control) Run(name string, a Args) (any, error) {
	cmd, known := controlCommands()[name]
	if !known {
		return nil, fmt.Errorf("unknown command %q", name)
	}
	var side Side
	if !cmd.any {
		var err error
		if side, err = a.side(); err != nil {
			return nil, err
		}
	}
	return cmd.run(c, side, a)
}

// ServeHTTP is the control API: GET /api/v1/state, GET /api/v1/certificate, GET /api/v1/ and POST /api/v1/{command} with Args as JSON.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, found := strings.CutPrefix(r.URL.Path, "/api/v1/")
	switch {
	case !found:
		c.reply(w, http.StatusNotFound, map[string]string{"error": "the control API is under /api/v1/"})
	case r.Method == http.MethodGet && name == "state":
		s, err := c.State()
		if err != nil {
			c.fail(w, http.StatusServiceUnavailable, err)
			return
		}
		c.reply(w, http.StatusOK, s)
	case r.Method == http.MethodGet && name == "certificate":
		w.Header().Set("Content-Type", "application/x-pem-file")
		if _, err := w.Write(c.l.pem); err != nil {
			c.l.log.Debug("control client left", "err", err)
		}
	case r.Method == http.MethodGet && name == "":
		c.reply(w, http.StatusOK, CommandHelp())
	case r.Method == http.MethodPost:
		var a Args
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil && !errors.Is(err, io.EOF) {
			c.fail(w, http.StatusBadRequest, err)
			return
		}
		v, err := c.Run(name, a)
		if err != nil {
			c.fail(w, http.StatusBadRequest, err)
			return
		}
		c.l.log.Info("control", "command", name, "side", a.Side, "instance", a.Instance, "database", a.Database)
		c.reply(w, http.StatusOK, v)
	default:
		c.fail(w, http.StatusMethodNotAllowed, fmt.Errorf("%s %s is not part of the control API", r.Method, r.URL.Path))
	}
}

func (c *Control) fail(w http.ResponseWriter, code int, err error) {
	c.reply(w, code, map[string]string{"error": err.Error()})
}

func (c *Control) reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		c.l.log.Debug("control client left", "err", err)
	}
}
