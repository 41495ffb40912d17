package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

func ptr[T any](v T) *T { return &v }

const (
	gridWidth = 24
	tag       = "mssql-dag" // by which the dashboards find each other
)

var source = common.DataSourceRef{Type: ptr("prometheus"), Uid: ptr("${datasource}")}

// board is a dashboard while it is laid out: panels go from left to right, and
// a panel that does not fit begins a new line.
type board struct {
	dashboard.Dashboard
	scrape     string
	x, y, high uint32
	lastID     uint32
}

func newBoard(set settings, uid, title, description, from, refresh string) *board {
	b := &board{Dashboard: *dashboard.NewDashboard(), scrape: set.Scrape}
	b.Uid, b.Title, b.Description = ptr(uid), ptr(title), ptr(description)
	b.Tags = []string{"mssql", tag}
	b.Editable = ptr(false)
	b.GraphTooltip = ptr(dashboard.DashboardCursorSyncCrosshair)
	b.Time = &dashboard.DashboardDashboardTime{From: from, To: "now"}
	b.Timepicker = &dashboard.TimePickerConfig{RefreshIntervals: []string{"5s", "10s", "30s", "1m", "5m"}}
	b.Refresh = ptr(refresh)
	b.Links = []dashboard.DashboardLink{{
		Title: "DAG dashboards", Type: dashboard.DashboardLinkTypeDashboards, Icon: "external link",
		Tooltip: "The other dashboards, for the same DAG and time", Tags: []string{tag}, IncludeVars: true, KeepTime: true,
	}}
	b.Annotations.List = []dashboard.AnnotationQuery{}
	return b
}

func (b *board) place(w, h uint32) dashboard.GridPos {
	if b.x+w > gridWidth {
		b.newLine()
	}
	at := dashboard.GridPos{X: b.x, Y: b.y, W: w, H: h}
	b.x += w
	b.high = max(b.high, h)
	return at
}

func (b *board) newLine() {
	b.x, b.y, b.high = 0, b.y+b.high, 0
}

func (b *board) id() uint32 {
	b.lastID++
	return b.lastID
}

// row begins a titled section; its panels follow it on the dashboard.
func (b *board) row(title string) {
	b.newLine()
	at := b.place(gridWidth, 1)
	b.Panels = append(b.Panels, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
		Type: "row", Title: ptr(title), GridPos: &at, Id: b.id(), Panels: []dashboard.Panel{},
	}})
	b.newLine()
}

func (b *board) add(panels ...panel) {
	for _, p := range panels {
		at := b.place(p.w, p.h)
		built := p.build(b.id(), at, b.scrape)
		b.Panels = append(b.Panels, dashboard.PanelOrRowPanel{Panel: &built})
	}
}

// link adds a link to another program to the dashboard's head.
func (b *board) link(title, tooltip, url string) {
	l := link(title, url)
	l.Icon, l.Tooltip = "external link", tooltip
	b.Links = append(b.Links, l)
}

func link(title, url string) dashboard.DashboardLink {
	return dashboard.DashboardLink{
		Title: title, Type: dashboard.DashboardLinkTypeLink, Tags: []string{}, Url: ptr(url), TargetBlank: true,
	}
}

// runbooks are links to the runbooks of alerts; a test holds the names
// together with alerts/runbooks.
func runbooks(alerts ...string) []dashboard.DashboardLink {
	var out []dashboard.DashboardLink
	for _, a := range alerts {
		out = append(out, link("Runbook "+a, "${runbooks}/runbooks/"+a))
	}
	return out
}

func console() dashboard.DashboardLink {
	return link("Console: the reasons", "${console}/dags/${dag}")
}

func (b *board) variable(v dashboard.VariableModel) {
	b.Templating.List = append(b.Templating.List, v)
}

func text(s string) dashboard.StringOrArrayOfString {
	return dashboard.StringOrArrayOfString{String: ptr(s)}
}

func (b *board) datasourceVariable() {
	b.variable(dashboard.VariableModel{
		Type: dashboard.VariableTypeDatasource, Name: "datasource", Label: ptr("Prometheus"),
		Description: ptr("The Prometheus that scrapes dag_exporter and cutover_webhook and evaluates alerts/rules.yml."),
		Query:       &dashboard.StringOrMap{String: ptr("prometheus")},
		Refresh:     ptr(dashboard.VariableRefreshOnDashboardLoad), Regex: ptr(""), Multi: ptr(false), IncludeAll: ptr(false),
		Options: []dashboard.VariableOption{},
	})
}

// queryVariable is filled by label_values; it is asked again whenever the time
// range changes, so that a DAG that is gone can still be looked at.
func (b *board) queryVariable(name, label, description, query string, several bool) {
	v := dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: name, Label: ptr(label), Description: ptr(description),
		Query: &dashboard.StringOrMap{Map: map[string]any{
			"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery",
		}},
		Definition: ptr(query), Datasource: &source, Regex: ptr(""), Options: []dashboard.VariableOption{},
		Refresh: ptr(dashboard.VariableRefreshOnTimeRangeChanged), Sort: ptr(dashboard.VariableSortNaturalAsc),
		Multi: ptr(several), IncludeAll: ptr(several),
	}
	if several {
		v.AllValue = ptr(".*")
		v.Current = &dashboard.VariableOption{Selected: ptr(true), Text: text("All"), Value: text("$__all")}
	}
	b.variable(v)
}

func (b *board) textVariable(name, label, description, value string, hide dashboard.VariableHide) {
	b.variable(dashboard.VariableModel{
		Type: dashboard.VariableTypeTextbox, Name: name, Label: ptr(label), Description: ptr(description), Hide: ptr(hide),
		Query:   &dashboard.StringOrMap{String: ptr(value)},
		Current: &dashboard.VariableOption{Selected: ptr(true), Text: text(value), Value: text(value)},
		Options: []dashboard.VariableOption{{Selected: ptr(true), Text: text(value), Value: text(value)}},
	})
}

// addresses are hidden variables, so that every link follows one setting. The
// viewer may override them in the address: &var-console=….
func (b *board) addresses(set settings) {
	b.textVariable("console", "Console", "Base URL of cutover_webhook", set.Console, dashboard.VariableHideHideVariable)
	b.textVariable("runbooks", "Runbooks", "Base URL of the runbooks, without /runbooks", set.Runbooks, dashboard.VariableHideHideVariable)
}

func (b *board) annotation(name, color, expr, title, body string) {
	b.Annotations.List = append(b.Annotations.List, dashboard.AnnotationQuery{
		Name: name, Datasource: &source, Enable: true, Hide: ptr(false), IconColor: color,
		Expr: ptr(expr), Step: ptr(b.scrape), TitleFormat: ptr(title), TextFormat: ptr(body), TagKeys: ptr("side,database,severity"),
	})
}

// query is one expression of a panel.
type query struct {
	expr, legend string
	over         bool // over time; else the present moment alone
}

// now asks for the present moment. Big words and tables do: over time, the
// last sample of a series that ended long ago would pass for the present.
func now(expr, legend string) query { return query{expr: expr, legend: legend} }

func over(expr, legend string) query { return query{expr: expr, legend: legend, over: true} }

func (q query) target(n int, format prometheus.PromQueryFormat, scrape string) *prometheus.Dataquery {
	t := &prometheus.Dataquery{
		RefId: ptr(string(rune('A' + n))), Expr: q.expr, Datasource: &source, Format: ptr(format),
		EditorMode: ptr(prometheus.QueryEditorModeCode), Instant: ptr(!q.over), Range: ptr(q.over),
	}
	if q.legend != "" {
		t.LegendFormat = ptr(q.legend)
	}
	if q.over {
		t.Interval = ptr(scrape)
	}
	return t
}
