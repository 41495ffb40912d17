package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSeries(t *testing.T) {
	name, labels := parseSeries(`mssql_dag_up{dag="a\"b\\c",side="source"}`)
	if name != "mssql_dag_up" || !slices.Equal(labels, [][2]string{{"dag", `a"b\c`}, {"side", "source"}}) {
		t.Errorf("%s %q", name, labels)
	}
}

// A series that a scrape does not bring any more ends there, and up tells it.
func TestSeriesEnd(t *testing.T) {
	s := newStore()
	all := func(string) bool { return true }
	at := time.Unix(1000, 0)
	for n, body := range []string{"a{x=\"1\"} 1\nb 2\n", "b 3\n", ""} {
		var b []byte
		if body != "" {
			b = []byte(body)
		}
		if err := s.take(at.Add(time.Duration(n)*step), "job", "it", nil, b, all); err != nil {
			t.Fatal(err)
		}
	}
	for series, want := range map[string]string{
		`a{x="1",instance="it",job="job"}`: "1 stale", `b{instance="it",job="job"}`: "2 3 stale", `up{instance="it",job="job"}`: "1 1 0",
	} {
		var got []string
		for _, v := range s.series[series] {
			if v.stale {
				got = append(got, "stale")
			} else {
				b, _ := json.Marshal(v.value) // a number
				got = append(got, string(b))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", series, got, want)
		}
	}
}

func TestAlertStates(t *testing.T) {
	r := rule{Alert: "A", For: "10s", Keep: "10s"}
	got, err := r.states(map[int]float64{1: 1, 2: 1, 3: 1, 4: 1, 8: 1}, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"", "pending", "pending", "firing", "firing", "firing", "firing", "", "pending", ""}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What the judge is worth: each fault put into a picture without one is told.
func TestFaultsAreTold(t *testing.T) {
	const good = `{"warning": "preview, not Grafana", "page": {"width": 1600, "window": 1600}, "problems": [], "panels": [
	{"title": "Can we cut over?", "type": "stat", "box": [0,0,100,100], "values": [{"text": "NO: behind", "color": "#FF9830", "size": 40}]},
	{"title": "Send queue empty in", "type": "stat", "box": [110,0,200,100], "values": [{"text": "NEVER, at this pace", "color": "#F2495C", "size": 40}]},
	{"title": "Level of each database, worst 20", "type": "state-timeline", "box": [0,110,100,200],
		"rows": [{"name": "a", "height": 20, "spans": [{"text": "behind", "color": "#FF9830", "seconds": 5}]}]},
	{"title": "Send queue", "type": "timeseries", "box": [110,110,200,200], "series": 1, "legend": ["a"], "plot": {"height": 100, "ink": 500}}]}`
	look := func(text, moment string) []string {
		var f facts
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		return judge(f, moment, "dag-migration", "dark-1600")
	}
	if said := look(good, "behind"); len(said) > 0 {
		t.Fatalf("the good picture: %q", said)
	}
	for _, fault := range [][2]string{
		{`preview, not Grafana`, `Grafana`}, {`"width": 1600`, `"width": 1700`}, {`"problems": []`, `"problems": ["404 /x"]`},
		{`[110,0,200,100]`, `[90,0,200,100]`}, {`"NO: behind"`, `"YES: synchronized"`}, {`"NO: behind", "color": "#FF9830"`, `"NO: behind", "color": "#73BF69"`},
		{`"size": 40`, `"size": 9`}, {`"text": "behind"`, `"text": "4"`}, {`"height": 20`, `"height": 5`}, {`"legend": ["a"]`, `"legend": ["a", "a"]`},
		{`"ink": 500`, `"ink": 0`}, {`"height": 100`, `"height": 20`}, {`"type": "timeseries"`, `"type": "timeseries", "silent": ["B"]`},
		{`"type": "timeseries"`, `"type": "timeseries", "errors": ["A: parse error"]`}, {`"type": "timeseries"`, `"type": "timeseries", "clipped": ["Ware"]`},
		{`"type": "timeseries"`, `"type": "timeseries", "scrolls": ["30 px below"]`}, {`"type": "timeseries"`, `"type": "timeseries", "text": "NaN"`},
	} {
		bad := strings.Replace(good, fault[0], fault[1], 1)
		if bad == good {
			t.Fatalf("%s is not in the picture", fault[0])
		}
		if len(look(bad, "behind")) == 0 {
			t.Errorf("nothing was said about %s", fault[1])
		}
	}
	absent := look(strings.ReplaceAll(good, "#FF9830", "rgb(115, 191, 105)"), "exporter absent")
	for _, want := range []string{"is green, and nobody knows", "the last that row a says is \"behind\" in green"} {
		if !slices.ContainsFunc(absent, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("green without an exporter: %q, nothing about %s", absent, want)
		}
	}
}
