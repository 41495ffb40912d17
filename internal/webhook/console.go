package webhook

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// The console is rendered here and only refreshed by the script: what a person
// sees is what html/template escaped, with or without JavaScript.
//
//go:embed assets
var assets embed.FS

// page is the data of every template.
type page struct {
	Title   string
	Version string
	Who     string
	Now     time.Time
	CanAct  bool // operator
	CanSign bool // approver
	List    []runner.Status
	DAG     *dagPage
}

// dagPage is the live part of one DAG's page.
type dagPage struct {
	runner.Status
	Path      string // of the API
	Config    *config.DAG
	Recent    []Notification
	Window    string
	NotOpen   int // gates that are not open
	Need      int // approvals
	AuthGone  bool
	CanAct    bool
	CanSign   bool
	Checklist []string
}

func (h *Handler) console() error {
	t, err := template.New("").Funcs(template.FuncMap{
		"ts":      stamp,
		"ago":     func(t time.Time) string { return age(h.o.Now(), t) },
		"words":   func(s any) string { return strings.ReplaceAll(fmt.Sprint(s), "_", " ") },
		"size":    size,
		"secs":    func(f float64) string { return fmt.Sprintf("%.1f s", f) },
		"tone":    tone,
		"percent": percent,
	}).ParseFS(assets, "assets/*.html")
	if err != nil {
		return err
	}
	static, err := fs.Sub(assets, "assets")
	if err != nil {
		return err
	}
	files := http.FileServerFS(static)
	for _, name := range []string{"console.css", "console.js"} {
		h.mux.Handle("GET /assets/"+name, http.StripPrefix("/assets/", files))
	}
	render := func(name string) func(w http.ResponseWriter, p page) {
		return func(w http.ResponseWriter, p page) {
			var b bytes.Buffer // so that a failing template is no half page
			if err := t.ExecuteTemplate(&b, name, p); err != nil {
				h.o.Log.Error("a page does not render", "page", name, "err", err)
				writeText(w, http.StatusInternalServerError, "this page does not render; the API and the CLI still work")
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(b.Bytes()) // the client went away: nobody to tell
		}
	}
	one := func(show func(http.ResponseWriter, page)) http.Handler {
		return h.allow(Viewer, h.withDAG(func(w http.ResponseWriter, _ *http.Request, id Identity, api runner.API) {
			p := h.page(api.Name(), id)
			p.DAG = h.dagPage(api, p)
			show(w, p)
		}))
	}
	h.mux.Handle("GET /{$}", h.allow(Viewer, func(w http.ResponseWriter, _ *http.Request, id Identity) {
		p := h.page("cutover", id)
		for _, api := range h.o.Fleet.All() {
			p.List = append(p.List, api.Status())
		}
		render("list.html")(w, p)
	}))
	h.mux.Handle("GET /dags/{dag}", one(render("dag.html")))
	h.mux.Handle("GET /dags/{dag}/live", one(render("live")))
	return nil
}

func (h *Handler) page(title string, id Identity) page {
	roles := h.cfg.Load().Webhook.Roles
	return page{
		Title: title, Version: h.o.Version, Who: id.Name, Now: h.o.Now(),
		CanAct: id.Has(Operator, roles), CanSign: id.Has(Approver, roles),
	}
}

func (h *Handler) dagPage(api runner.API, p page) *dagPage {
	d := &dagPage{
		Status: api.Status(), Recent: h.recent.of(api.Name(), 20), AuthGone: h.authGone.Load(),
		CanAct: p.CanAct, CanSign: p.CanSign, Path: "/api/v1/dags/" + pathEscape(api.Name()),
	}
	for _, g := range d.Gates {
		if g.State != runner.GateOpen {
			d.NotOpen++
		}
	}
	if c, ok := h.cfg.Load().ByName(api.Name()); ok {
		d.Config, d.Checklist, d.Window = c, c.Cutover.Checklist, window(&c.Cutover, p.Now)
		if c.Cutover.Approvals != nil {
			d.Need = *c.Cutover.Approvals
		}
	}
	return d
}

func window(c *config.Cutover, now time.Time) string {
	if !c.HasWindow() {
		return "always open"
	}
	if open, left := c.Open(now); open {
		return "open for " + left.Round(time.Second).String()
	}
	if at, ok := c.NextOpen(now); ok {
		return "closed until " + stamp(at)
	}
	return "closed for good"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// age is how long ago, or in how long.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t).Round(time.Second)
	if d < 0 {
		return "in " + (-d).String()
	}
	return d.String() + " ago"
}

func size(v *int64) string {
	if v == nil {
		return "unknown"
	}
	f := float64(*v)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", f)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}

// tone is the CSS class of a word of state; the word itself is always shown
// too, since colour alone tells some people nothing.
func tone(v any) string {
	switch fmt.Sprint(v) {
	case "open", "caught_up", "synchronized", "done", "drilled", "failed_over", "accepted", "renewed", "heartbeat":
		return "good"
	case "closed", "never", "split", "diverged", "ahead", "unauthorized", "malformed":
		return "bad"
	case "", "ignored", "idle", "ended":
		return "quiet"
	}
	return "warn"
}

func percent(k, n int) int {
	if n <= 0 {
		return 0
	}
	return 100 * k / n
}

// pathEscape keeps a DAG's name one segment of a path; config allows letters,
// digits, '.', '_', '-' and spaces.
func pathEscape(name string) string {
	return strings.ReplaceAll(template.URLQueryEscaper(name), "+", "%20")
}
