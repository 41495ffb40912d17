package main

import (
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel is what differs between panels; build adds the rest.
type panel struct {
	kind                     string
	title, description, unit string
	w, h                     uint32
	queries                  []query
	links                    []dashboard.DashboardLink

	words          []word // value mappings
	steps          []dashboard.Threshold
	fixed          string // one colour for everything
	noValue        string
	decimals       *float64
	min, max       *float64
	overrides      []dashboard.DashboardFieldConfigSourceOverrides
	transformation []dashboard.DataTransformerConfig

	options, custom any
}

func (p panel) build(id uint32, at dashboard.GridPos, scrape string) dashboard.Panel {
	format := prometheus.PromQueryFormatTimeSeries
	if p.kind == "table" {
		format = prometheus.PromQueryFormatTable
	}
	var targets []variants.Dataquery
	for n, q := range p.queries {
		targets = append(targets, q.target(n, format, scrape))
	}
	field := dashboard.FieldConfig{
		Unit: ptr(p.unit), Decimals: p.decimals, Min: p.min, Max: p.max, Custom: p.custom,
		Mappings: mappings(p.words), Color: &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdPaletteClassic},
	}
	if p.steps != nil {
		field.Thresholds = &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: p.steps}
		if p.kind != "timeseries" {
			field.Color.Mode = dashboard.FieldColorModeIdThresholds
		}
	}
	if p.fixed != "" {
		field.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdFixed, FixedColor: ptr(p.fixed)}
	}
	if p.noValue != "" {
		field.NoValue = ptr(p.noValue)
	}
	overrides := p.overrides
	if overrides == nil {
		overrides = []dashboard.DashboardFieldConfigSourceOverrides{}
	}
	return dashboard.Panel{
		Type: p.kind, Id: &id, Title: ptr(p.title), Description: ptr(p.description), Datasource: &source, GridPos: &at,
		Targets: targets, Links: p.links, Transformations: p.transformation, Options: p.options,
		FieldConfig: &dashboard.FieldConfigSource{Defaults: field, Overrides: overrides},
	}
}

// bigWord is a stat that shows a state as a word on its colour. Whatever has
// no word, and no data at all, is red: nothing looks well when it is not known.
func bigWord(title, description string, w, h uint32, words []word, noValue string, q ...query) panel {
	o := stat.NewOptions()
	o.GraphMode, o.ColorMode = common.BigValueGraphModeNone, common.BigValueColorModeBackgroundSolid
	o.JustifyMode, o.TextMode = common.BigValueJustifyModeCenter, common.BigValueTextModeValue
	if len(q) > 1 || q[0].legend != "" {
		o.TextMode = common.BigValueTextModeValueAndName
	}
	o.ReduceOptions.Calcs, o.Orientation = []string{"lastNotNull"}, common.VizOrientationAuto
	// A mapping of null goes before the panel's word for no data.
	words = append(slices.DeleteFunc(slices.Clone(words), func(w word) bool { return w.state == nothing }), word{0, nothing, noValue, red})
	return panel{
		kind: "stat", title: title, description: description, unit: "none", w: w, h: h, queries: q,
		words: words, steps: steps(red), noValue: noValue, options: o,
	}
}

// number is a stat that shows numbers, by default without a judgement. That
// there is no number at all is red, as with words.
func number(title, description, unit string, w, h uint32, noValue string, q ...query) panel {
	p := bigWord(title, description, w, h, nil, noValue, q...)
	o := p.options.(*stat.Options)
	o.ColorMode = common.BigValueColorModeValue
	p.unit, p.steps = unit, steps(plain)
	return p
}

// unrecorded is what a panel over time says when it is empty.
const unrecorded = "nothing recorded in this time range"

// paint gives the lines of these names their colours. The palette, which
// begins with green, is left to databases: there a colour is a name and no
// judgement.
func (p *panel) paint(pairs ...string) {
	for n := 0; n < len(pairs); n += 2 {
		p.overrides = append(p.overrides, dashboard.DashboardFieldConfigSourceOverrides{
			Matcher:    dashboard.MatcherConfig{Id: "byName", Options: pairs[n]},
			Properties: []dashboard.DynamicConfigValue{{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": pairs[n+1]}}},
		})
	}
}

// bySide paints the lines of the two sides.
func (p *panel) bySide() { p.paint("source", blue, "target", orange) }

// lines is a graph. The legend is a list of short names: a table would hide
// databases behind a scroll bar.
func lines(title, description, unit string, w, h uint32, q ...query) panel {
	o := timeseries.NewOptions()
	o.Legend = common.VizLegendOptions{
		DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: true, Calcs: []string{},
	}
	o.Tooltip = common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending}
	return panel{
		kind: "timeseries", title: title, description: description, unit: unit, w: w, h: h, queries: q, options: o, noValue: unrecorded,
		custom: &timeseries.FieldConfig{
			LineWidth:   ptr(1.0),
			FillOpacity: ptr(0.0),                       // filled areas mix into colours that no legend has
			ShowPoints:  ptr(common.VisibilityModeAuto), // a lone sample is a dot and not nothing
			SpanNulls:   &common.BoolOrFloat64{Bool: ptr(false)},
		},
	}
}

// timeline shows states over time, one row a series. The values must be the
// numbers of one enum: a row for each state of a StateSet cannot be read.
func timeline(title, description string, w, h uint32, words []word, q ...query) panel {
	o := statetimeline.NewOptions()
	o.ShowValue, o.RowHeight, o.PerPage = common.VisibilityModeNever, 0.85, nil
	o.Tooltip = common.VizTooltipOptions{Mode: common.TooltipDisplayModeSingle, Sort: common.SortOrderNone}
	o.Legend = common.VizLegendOptions{
		DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: true, Calcs: []string{},
	}
	return panel{
		kind: "state-timeline", title: title, description: description, unit: "none", w: w, h: h, queries: q,
		words: words, steps: steps(red), options: o, noValue: unrecorded,
		custom: &statetimeline.FieldConfig{
			LineWidth: ptr(uint32(0)), FillOpacity: ptr(uint32(80)),
		},
	}
}

// column of a table: the label or the query that it shows, and how.
type column struct {
	from, title, unit string
	width             float64
	words             []word
	steps             []dashboard.Threshold
	link              *dashboard.DashboardLink
}

// grid is a table that joins instant queries by their common labels. sort
// names the column that the worst rows come first by.
func grid(title, description string, w, h uint32, sort string, desc bool, columns []column, q ...query) panel {
	o := table.NewOptions()
	o.Footer = nil // its null reducer fails the SDK's own strict decoder, and 13's schema has no footer
	o.SortBy = []common.TableSortByFieldState{{DisplayName: sort, Desc: &desc}}
	p := panel{
		kind: "table", title: title, description: description, unit: "short", w: w, h: h, queries: q, options: o,
		steps: steps(plain), custom: &table.FieldConfig{Align: common.FieldTextAlignmentAuto},
	}
	names, order := map[string]any{}, map[string]any{}
	keep := []any{}
	if len(q) > 1 {
		// Grafana leaves the letter off where only one of the queries has a result,
		// and that is the first: the others are about the rows that it gives.
		first := slices.IndexFunc(columns, func(c column) bool { return c.from == "Value #A" })
		columns = slices.Insert(slices.Clone(columns), first, column{from: "Value", title: columns[first].title})
	}
	for n, c := range columns {
		names[c.from], order[c.from] = c.title, n
		keep = append(keep, c.from)
		if c.from != "Value" || len(q) == 1 {
			p.overrides = append(p.overrides, c.override())
		}
	}
	p.transformation = []dashboard.DataTransformerConfig{
		{Id: "merge", Options: map[string]any{}},
		{Id: "filterFieldsByName", Options: map[string]any{"include": map[string]any{"names": keep}}},
		{Id: "organize", Options: map[string]any{"excludeByName": map[string]any{}, "indexByName": order, "renameByName": names}},
	}
	return p
}

func (c column) override() dashboard.DashboardFieldConfigSourceOverrides {
	out := dashboard.DashboardFieldConfigSourceOverrides{Matcher: dashboard.MatcherConfig{Id: "byName", Options: c.title}}
	set := func(id string, value any) {
		out.Properties = append(out.Properties, dashboard.DynamicConfigValue{Id: id, Value: value})
	}
	// Else an empty cell says what the whole panel says when it is empty.
	set("noValue", "–")
	if c.unit != "" {
		set("unit", c.unit)
	}
	if c.unit == "percentunit" {
		set("decimals", 0)
	}
	if c.width != 0 {
		set("custom.width", c.width)
	}
	if c.words != nil {
		set("mappings", mappings(c.words))
		c.steps = steps(red)
	}
	if c.steps != nil {
		set("thresholds", dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: c.steps})
		set("custom.align", "center")
		set("custom.cellOptions", map[string]any{"type": "color-background", "mode": "basic"})
	}
	if c.link != nil {
		set("links", []dashboard.DashboardLink{*c.link})
	}
	return out
}

// steps are thresholds: a base colour, then pairs of value and colour.
func steps(base string, pairs ...any) []dashboard.Threshold {
	out := []dashboard.Threshold{{Color: base}}
	for n := 0; n < len(pairs); n += 2 {
		out = append(out, dashboard.Threshold{Value: ptr(pairs[n].(float64)), Color: pairs[n+1].(string)})
	}
	return out
}
