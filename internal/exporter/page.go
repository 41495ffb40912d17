package exporter

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/prometheus/common/version"

	"github.com/dag-exporter/dag_exporter/collector"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// stale is the age at which a scrape tells nothing of now any more: that at
// which Prometheus too stops showing a sample.
const stale = 5 * time.Minute

// worstShown is how many databases of a DAG the page names.
const worstShown = 5

type pageData struct {
	Version   string
	Path      string
	InMetrics bool
	DAGs      []pageDAG
	Runbooks  []string
}

type pageDAG struct {
	Name, Group, Lifecycle string
	Scraped                bool
	Age                    string
	State                  hadr.State
	Level                  string
	Reason                 string
	Direction              hadr.Direction
	Skew                   string
	Sides                  []pageSide
	Databases              int
	Worst                  []hadr.DatabaseConvergence
	Problems               []problem
}

type pageSide struct {
	Side   hadr.Side
	Reason string
	Up     bool
	Role   hadr.Role
	Server string
	AG     string
	Took   string
}

// page is a table of what the last scrapes said. It asks no server: opening
// it in ten browsers costs the databases nothing.
func (e *Exporter) page(w http.ResponseWriter, _ *http.Request) {
	s, release := e.current()
	defer release()
	data := pageData{Version: version.Info(), Path: s.cfg.Path, InMetrics: len(s.dags) <= InMetrics, Runbooks: runbooks()}
	for _, d := range s.dags {
		data.DAGs = append(data.DAGs, d.page(e.opt.Now()))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = b.WriteTo(w) // the client went away
}

func (d *dag) page(now time.Time) pageDAG {
	at, last, problems := d.history.get()
	out := pageDAG{Name: d.cfg.Name, Group: d.cfg.Group, Lifecycle: d.cfg.Lifecycle, Problems: problems, State: hadr.StateUnknown, Reason: "not scraped yet"}
	if last == nil {
		return out
	}
	c := &last.Convergence
	out.Scraped, out.Age = true, now.Sub(at).Round(time.Second).String()
	if now.Sub(at) > stale {
		// A verdict of hours ago, in green, is no verdict.
		out.Reason = fmt.Sprintf("nobody has scraped it for %s; at that time it was %s: %s", out.Age, c.State, c.Reason)
		return out
	}
	out.State, out.Level, out.Reason, out.Direction = c.State, c.Level.String(), c.Reason, c.Direction
	if c.Skew.OK {
		out.Skew = c.Skew.V.Round(time.Millisecond).String()
	}
	out.Sides, out.Databases, out.Worst = last.sides, last.databases, c.Databases
	return out
}

func pageSideOf(side hadr.Side, r *collector.SideResult) pageSide {
	out := pageSide{Side: side, Reason: r.Reason, Took: fmt.Sprint(r.Duration.Round(time.Millisecond))}
	if r.Reading != nil {
		out.Up, out.Role, out.Server, out.AG = true, r.Reading.DAG.Role, r.Reading.Identity.ServerName, r.Reading.Local.Name
	}
	return out
}
