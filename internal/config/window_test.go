package config

import (
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWindow(t *testing.T) {
	night := []TimeInterval{{Times: []TimeRange{{"22:00", "24:00"}, {"00:00", "02:00"}}, Location: "Europe/Berlin"}}
	weekend := []TimeInterval{{Weekdays: []string{"saturday", "Sunday"}}}
	lastDays := []TimeInterval{{DaysOfMonth: []string{"-2:-1"}}}
	tests := []struct {
		name string
		c    Cutover
		now  string
		open bool
		left time.Duration
	}{
		{"no window", Cutover{}, "2026-11-24T12:00:00Z", true, 48 * time.Hour},
		{"adjoining intervals are one", Cutover{Window: night}, "2026-11-24T21:30:00Z", true, 3*time.Hour + 30*time.Minute}, // 22:30 in Berlin
		{"one minute before", Cutover{Window: night}, "2026-11-24T20:59:59Z", false, 0},
		{"first minute", Cutover{Window: night}, "2026-11-24T21:00:00Z", true, 4 * time.Hour},
		{"last second", Cutover{Window: night}, "2026-11-25T00:59:59Z", true, time.Second},
		{"end is outside", Cutover{Window: night}, "2026-11-25T01:00:00Z", false, 0},
		{"summer time ends inside", Cutover{Window: []TimeInterval{{Times: []TimeRange{{"01:00", "04:00"}}, Location: "Europe/Berlin"}}}, "2026-10-24T23:00:00Z", true, 4 * time.Hour},
		{"not_after cuts", Cutover{Window: night, NotAfter: at(t, "2026-11-24T22:00:00Z")}, "2026-11-24T21:30:00Z", true, 30 * time.Minute},
		{"past not_after", Cutover{NotAfter: at(t, "2026-11-24T22:00:00Z")}, "2026-11-24T22:00:00Z", false, 0},
		{"before not_before", Cutover{Window: night, NotBefore: at(t, "2026-11-24T22:00:00Z")}, "2026-11-24T21:59:59Z", false, 0},
		{"at not_before", Cutover{Window: night, NotBefore: at(t, "2026-11-24T22:00:00Z")}, "2026-11-24T22:00:00Z", true, 3 * time.Hour},
		{"weekend", Cutover{Window: weekend}, "2026-11-28T00:00:00Z", true, 48 * time.Hour},
		{"weekday", Cutover{Window: weekend}, "2026-11-30T00:00:00Z", false, 0},
		{"last but one of a short month", Cutover{Window: lastDays}, "2027-02-27T10:00:00Z", true, 38 * time.Hour},
		{"third last", Cutover{Window: lastDays}, "2027-02-26T10:00:00Z", false, 0},
		{"the 31st in a month of 30", Cutover{Window: []TimeInterval{{DaysOfMonth: []string{"31"}}}}, "2026-11-30T10:00:00Z", false, 0},
		{"the 20th to the end", Cutover{Window: []TimeInterval{{DaysOfMonth: []string{"20:-1"}}}}, "2026-11-30T23:00:00Z", true, time.Hour},
		{"month by name", Cutover{Window: []TimeInterval{{Months: []string{"november:december"}}}}, "2026-12-31T23:00:00Z", true, time.Hour},
		{"month by number", Cutover{Window: []TimeInterval{{Months: []string{"1:3"}, Years: []string{"2027"}}}}, "2026-03-31T23:00:00Z", false, 0},
		{"unreadable is closed", Cutover{Window: []TimeInterval{{Weekdays: []string{"caturday"}}}}, "2026-11-28T00:00:00Z", false, 0},
		{"without limits is closed", Cutover{Window: []TimeInterval{{}}}, "2026-11-28T00:00:00Z", false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			open, left := tt.c.Open(at(t, tt.now))
			if open != tt.open || left != tt.left {
				t.Errorf("got %v %v, want %v %v", open, left, tt.open, tt.left)
			}
		})
	}
}

func TestNextOpen(t *testing.T) {
	night := []TimeInterval{{Times: []TimeRange{{"22:00", "24:00"}}, Weekdays: []string{"saturday"}, Location: "Europe/Berlin"}}
	tests := []struct {
		name, now, want string
		c               Cutover
	}{
		{"next saturday", "2026-11-24T12:00:00Z", "2026-11-28T21:00:00Z", Cutover{Window: night}},
		{"open now", "2026-11-28T22:00:00Z", "2026-11-28T22:00:00Z", Cutover{Window: night}},
		{"not_before inside", "2026-11-24T12:00:00Z", "2026-11-28T21:30:00Z", Cutover{Window: night, NotBefore: at(t, "2026-11-28T21:30:00Z")}},
		{"never again", "2026-11-24T12:00:00Z", "", Cutover{Window: night, NotAfter: at(t, "2026-11-28T21:00:00Z")}},
		{"no window", "2026-11-24T12:00:00Z", "2026-11-24T12:00:00Z", Cutover{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.c.NextOpen(at(t, tt.now))
			if ok != (tt.want != "") || ok && !got.Equal(at(t, tt.want)) {
				t.Errorf("got %v %v, want %s", got, ok, tt.want)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	for _, tt := range []struct {
		in    string
		names []string
		lo    int
		hi    int
		ok    bool
	}{
		{"monday:friday", weekdayNames, 0, 6, true},
		{"friday:monday", weekdayNames, 0, 6, false},
		{"1", weekdayNames, 0, 6, false},
		{"may:8", monthNames, 1, 12, true},
		{"0", monthNames, 1, 12, false},
		{"-3:-1", nil, -31, 31, true},
		{"-1:-3", nil, -31, 31, false},
		{"0", nil, -31, 31, false},
		{"-1:5", nil, -31, 31, false},
		{"32", nil, -31, 31, false},
		{"1:-1", nil, -31, 31, true},
		{"", nil, -31, 31, false},
		{"1:2:3", nil, -31, 31, false},
		{"2026:2030", nil, 1970, 9999, true},
	} {
		if _, problem := parseSpan(tt.in, tt.names, tt.lo, tt.hi); (problem == "") != tt.ok {
			t.Errorf("%q: %s", tt.in, problem)
		}
	}
}
