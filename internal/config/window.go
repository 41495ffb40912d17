package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a window's location must resolve on Windows and in an empty container
)

// windowHorizon bounds how far ahead Open looks for the end of the window.
const windowHorizon = 48 * time.Hour

// HasWindow reports that anything limits the time of a cutover.
func (c *Cutover) HasWindow() bool {
	return len(c.Window) > 0 || !c.NotBefore.IsZero() || !c.NotAfter.IsZero()
}

// Open reports whether a cutover may run at now, and for how long from now the
// window stays open without a gap (adjoining intervals count as one). What is
// left is at most 48 h: more is not told apart. Without any limit the window
// is always open. An interval that does not parse is closed.
func (c *Cutover) Open(now time.Time) (open bool, left time.Duration) {
	ivs, err := c.intervals()
	if err != nil || !c.openAt(ivs, now) {
		return false, 0
	}
	end := now.Add(windowHorizon)
	if !c.NotAfter.IsZero() && c.NotAfter.Before(end) {
		end = c.NotAfter
	}
	if len(ivs) == 0 {
		return true, end.Sub(now)
	}
	// Limits are whole minutes of a wall clock, and the offset of every zone in
	// use is whole minutes too, so the window can only close on a minute.
	for t := now.Truncate(time.Minute).Add(time.Minute); t.Before(end); t = t.Add(time.Minute) {
		if !containsAny(ivs, t) {
			return true, t.Sub(now)
		}
	}
	return true, end.Sub(now)
}

// NextOpen is the next moment at or after now at which the window is open,
// within 400 days. ok is false when there is none.
func (c *Cutover) NextOpen(now time.Time) (at time.Time, ok bool) {
	ivs, err := c.intervals()
	if err != nil {
		return time.Time{}, false
	}
	if c.NotBefore.After(now) {
		now = c.NotBefore
	}
	if c.openAt(ivs, now) {
		return now, true
	}
	for _, iv := range ivs {
		local := now.In(iv.location)
		for day := range 400 {
			for _, start := range iv.starts() {
				// time.Date normalizes the day and moves a start that the
				// change to summer time skips; openAt has the last word.
				t := time.Date(local.Year(), local.Month(), local.Day()+day, start/60, start%60, 0, 0, iv.location)
				if !t.Before(now) && (!ok || t.Before(at)) && c.openAt(ivs, t) {
					at, ok = t, true
				}
			}
			if ok && time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, 0, 0, iv.location).After(at) {
				break
			}
		}
	}
	return at, ok
}

func (c *Cutover) openAt(ivs []interval, t time.Time) bool {
	if !c.NotBefore.IsZero() && t.Before(c.NotBefore) || !c.NotAfter.IsZero() && !t.Before(c.NotAfter) {
		return false
	}
	return len(ivs) == 0 || containsAny(ivs, t)
}

func (c *Cutover) intervals() ([]interval, error) {
	out := make([]interval, 0, len(c.Window))
	for _, w := range c.Window {
		iv, errs := w.parse()
		if len(errs) > 0 {
			return nil, errs[0]
		}
		out = append(out, iv)
	}
	return out, nil
}

// span is an inclusive range.
type span struct{ from, to int }

// interval is a TimeInterval that was understood. Empty lists do not limit.
type interval struct {
	times    []span // minutes of the day, to is exclusive
	weekdays []span // Sunday is 0
	days     []span // of the month; negative counts from its end
	months   []span
	years    []span
	location *time.Location
}

func containsAny(ivs []interval, t time.Time) bool {
	for i := range ivs {
		if ivs[i].contains(t) {
			return true
		}
	}
	return false
}

// contains has Alertmanager's meaning: every kind of limit that is given must
// hold, and one of its ranges is enough.
func (iv *interval) contains(t time.Time) bool {
	t = t.In(iv.location)
	if len(iv.times) > 0 {
		minute, in := t.Hour()*60+t.Minute(), false
		for _, s := range iv.times {
			in = in || minute >= s.from && minute < s.to
		}
		if !in {
			return false
		}
	}
	return within(iv.weekdays, int(t.Weekday())) && iv.containsDay(t) &&
		within(iv.months, int(t.Month())) && within(iv.years, t.Year())
}

func within(spans []span, v int) bool {
	for _, s := range spans {
		if v >= s.from && v <= s.to {
			return true
		}
	}
	return len(spans) == 0
}

func (iv *interval) containsDay(t time.Time) bool {
	last := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	for _, s := range iv.days {
		from, to := s.from, s.to
		if from < 0 {
			from = max(1, last+from+1)
		}
		if to < 0 {
			to = last + to + 1
		}
		if t.Day() >= from && t.Day() <= to {
			return true
		}
	}
	return len(iv.days) == 0
}

func (iv *interval) starts() []int {
	if len(iv.times) == 0 {
		return []int{0}
	}
	out := make([]int, len(iv.times))
	for i, s := range iv.times {
		out[i] = s.from
	}
	return out
}

// fieldError is a problem below one window entry.
type fieldError struct{ field, text string }

func (e fieldError) Error() string { return e.field + ": " + e.text }

// isZero reports an entry that would contain every instant.
func (w TimeInterval) isZero() bool {
	return len(w.Times)+len(w.Weekdays)+len(w.DaysOfMonth)+len(w.Months)+len(w.Years) == 0
}

var (
	weekdayNames = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	monthNames   = []string{"", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	clockRE      = regexp.MustCompile(`^(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$`)
)

func (w TimeInterval) parse() (interval, []fieldError) {
	var errs []fieldError
	bad := func(field, format string, args ...any) {
		errs = append(errs, fieldError{field, fmt.Sprintf(format, args...)})
	}
	iv := interval{location: time.UTC}
	if w.isZero() {
		bad("", "an entry without limits contains every moment: give times, weekdays, days_of_month, months or years, or leave window out")
	}
	if w.Location != "" {
		loc, err := time.LoadLocation(w.Location)
		if err != nil {
			bad("location", "%q is not a time zone: write a name such as Europe/Berlin, or UTC", w.Location)
		} else {
			iv.location = loc
		}
	}
	for i, r := range w.Times {
		from, okFrom := clock(r.StartTime)
		to, okTo := clock(r.EndTime)
		field := fmt.Sprintf("times[%d]", i)
		switch {
		case !okFrom || !okTo:
			bad(field, "start_time and end_time are written as HH:MM, from 00:00 to 24:00")
		case from == to:
			bad(field, "%s–%s is empty: end_time is the first minute that is outside", r.StartTime, r.EndTime)
		case from > to:
			bad(field, "%s–%s crosses midnight: write two, %s–24:00 and 00:00–%s (mind weekdays: the second one is the next day)", r.StartTime, r.EndTime, r.StartTime, r.EndTime)
		default:
			iv.times = append(iv.times, span{from, to})
		}
	}
	list := func(name string, entries []string, names []string, lo, hi int, out *[]span) {
		for i, e := range entries {
			s, problem := parseSpan(e, names, lo, hi)
			if problem != "" {
				bad(fmt.Sprintf("%s[%d]", name, i), "%q %s", e, problem)
				continue
			}
			*out = append(*out, s)
		}
	}
	list("weekdays", w.Weekdays, weekdayNames, 0, 6, &iv.weekdays)
	list("months", w.Months, monthNames, 1, 12, &iv.months)
	list("years", w.Years, nil, 1970, 9999, &iv.years)
	list("days_of_month", w.DaysOfMonth, nil, -31, 31, &iv.days)
	return iv, errs
}

func clock(s string) (minutes int, ok bool) {
	m := clockRE.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	if m[1] == "" {
		return 24 * 60, true
	}
	h, _ := strconv.Atoi(m[1]) // two digits each, by the pattern
	min, _ := strconv.Atoi(m[2])
	return h*60 + min, true
}

// parseSpan reads "a" or "a:b", each a name or a number; lo below 0 marks days
// of the month, where 0 is no day and a negative one counts from the end.
func parseSpan(s string, names []string, lo, hi int) (span, string) {
	from, to, isRange := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":")
	if !isRange {
		to = from
	}
	a, okA := parseOne(from, names)
	b, okB := parseOne(to, names)
	switch {
	case !okA || !okB:
		if names != nil && lo == 0 {
			return span{}, "is not a weekday: write monday, or a range such as monday:friday"
		}
		if names != nil {
			return span{}, "is not a month: write a name, a number from 1 to 12, or a range such as may:august"
		}
		return span{}, "is not a number or a range such as 1:7"
	case a < lo || a > hi || b < lo || b > hi || lo < 0 && (a == 0 || b == 0):
		if lo < 0 {
			return span{}, "is outside of 1 to 31 and -31 to -1"
		}
		return span{}, fmt.Sprintf("is outside of %d to %d", lo, hi)
	case lo < 0 && a < 0 && b > 0:
		return span{}, "begins counting from the end of the month and must end so: write -3:-1"
	}
	x, y := a, b
	if lo < 0 { // compared as in a month of 31 days
		if x < 0 {
			x += 32
		}
		if y < 0 {
			y += 32
		}
	}
	if x > y {
		return span{}, "ends before it begins: write two entries"
	}
	return span{a, b}, ""
}

func parseOne(s string, names []string) (int, bool) {
	s = strings.TrimSpace(s)
	for i, n := range names {
		if n != "" && n == s {
			return i, true
		}
	}
	if len(names) == len(weekdayNames) {
		return 0, false // a numbered weekday is ambiguous
	}
	v, err := strconv.Atoi(s)
	return v, err == nil
}
