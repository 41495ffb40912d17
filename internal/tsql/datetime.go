package tsql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var epoch1900 = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// roundDateTime rounds to the 1/300 s of the type datetime; it reports whether the result is in datetime's range.
func roundDateTime(t time.Time) (time.Time, bool) {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	ticks := (int64(t.Sub(day))*3 + 5_000_000) / 10_000_000 // of 1/300 s
	if ticks >= 300*86400 {
		day, ticks = day.AddDate(0, 0, 1), 0
	}
	ns := ticks * 10_000_000 / 3 / 100 * 100
	return day.Add(time.Duration(ns)), day.Year() >= 1753 && day.Year() <= 9999
}

// roundFrac rounds to n fractional digits.
func roundFrac(t time.Time, n uint8) time.Time {
	unit := time.Duration(1_000_000_000)
	for i := uint8(0); i < n; i++ {
		unit /= 10
	}
	if unit < 1 {
		unit = 1
	}
	// Round is relative to the zero time, an instant at a full second.
	return t.Round(unit)
}

// wall drops the zone: the same clock face in UTC.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// fit brings a time to a temporal type; ok is false outside its range.
func fitTime(t time.Time, to Type) (time.Time, bool) {
	if to.Kind != KindDateTimeOffset {
		t = wall(t)
	}
	switch to.Kind {
	case KindDate:
		t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	case KindTime:
		t = roundFrac(t, to.Scale)
		t = time.Date(1900, 1, 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	case KindSmallDateTime:
		t = t.Round(time.Minute)
		return t, t.Year() >= 1900 && t.Year() <= 2079
	case KindDateTime:
		return roundDateTime(t)
	case KindDateTime2, KindDateTimeOffset:
		t = roundFrac(t, to.Scale)
	}
	return t, t.Year() >= 1 && t.Year() <= 9999
}

var monthNames = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// parseTime reads the formats that do not depend on language settings, and us_english's own. The zone of the result is meaningful if zoned.
func parseTime(s string) (t time.Time, zoned, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return epoch1900, false, true
	}
	year, month, day := 1900, 1, 1
	datePart, timePart := s, ""
	if i := strings.IndexAny(s, "Tt"); i >= 8 && i <= 10 && s[i-1] >= '0' && s[i-1] <= '9' {
		datePart, timePart = s[:i], s[i+1:]
		if timePart == "" {
			return t, false, false
		}
	} else if c := strings.IndexByte(s, ':'); c >= 0 {
		j := c
		for j > 0 && s[j-1] >= '0' && s[j-1] <= '9' {
			j--
		}
		if j > 0 && s[j-1] != ' ' {
			return t, false, false
		}
		datePart, timePart = strings.TrimSpace(s[:j]), s[j:]
	}
	if datePart != "" {
		if year, month, day, ok = parseDate(datePart); !ok {
			return t, false, false
		}
	}
	var h, m, sec, ns int
	loc := time.UTC
	if timePart != "" {
		if h, m, sec, ns, loc, zoned, ok = parseClock(timePart); !ok {
			return t, false, false
		}
	}
	if month < 1 || month > 12 || day < 1 || year < 1 || year > 9999 || day > time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		return t, false, false
	}
	return time.Date(year, time.Month(month), day, h, m, sec, ns, loc), zoned, true
}

func parseDate(s string) (y, m, d int, ok bool) {
	num := func(s string) int {
		v, err := strconv.Atoi(s)
		if err != nil || len(s) > 8 || v < 0 {
			return -1
		}
		return v
	}
	if n := num(s); n >= 0 {
		switch len(s) {
		case 8:
			return n / 10000, n / 100 % 100, n % 100, true
		case 6:
			return twoDigitYear(n / 10000), n / 100 % 100, n % 100, true
		case 4:
			return n, 1, 1, true
		}
		return 0, 0, 0, false
	}
	f := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '/' || r == '.' || r == ' ' || r == ',' })
	if len(f) != 3 {
		return 0, 0, 0, false
	}
	year := func(s string) int {
		if n := num(s); len(s) == 4 {
			return n
		} else if n >= 0 && len(s) <= 2 {
			return twoDigitYear(n)
		}
		return -1
	}
	for i, w := range f[:2] { // Nov 24 2026, 24 Nov 2026
		if k := monthNumber(w); k > 0 {
			return year(f[2]), k, num(f[1-i]), true
		}
	}
	if len(f[0]) == 4 {
		return num(f[0]), num(f[1]), num(f[2]), len(f[1]) <= 2 && len(f[2]) <= 2
	}
	return year(f[2]), num(f[0]), num(f[1]), len(f[0]) <= 2 && len(f[1]) <= 2
}

func twoDigitYear(n int) int {
	if n < 50 {
		return 2000 + n
	}
	return 1900 + n
}

func monthNumber(s string) int {
	s = strings.ToLower(s)
	for i, n := range monthNames {
		if s == n || len(s) == 3 && strings.HasPrefix(n, s) {
			return i + 1
		}
	}
	return 0
}

func parseClock(s string) (h, m, sec, ns int, loc *time.Location, zoned, ok bool) {
	loc = time.UTC
	s = strings.TrimSpace(s)
	up := strings.ToUpper(s)
	half := ""
	if strings.HasSuffix(up, "AM") || strings.HasSuffix(up, "PM") {
		half = up[len(up)-2:]
		s = strings.TrimSpace(s[:len(s)-2])
	} else if strings.HasSuffix(up, "Z") {
		zoned = true
		s = s[:len(s)-1]
	} else if i := strings.LastIndexAny(s, "+-"); i > 0 {
		hh, mm, found := strings.Cut(s[i+1:], ":")
		a, e1 := strconv.Atoi(hh)
		b, e2 := strconv.Atoi(mm)
		if !found || e1 != nil || e2 != nil || a < 0 || a > 14 || b < 0 || b > 59 {
			return 0, 0, 0, 0, loc, false, false
		}
		off := a*3600 + b*60
		if s[i] == '-' {
			off = -off
		}
		loc, zoned = time.FixedZone("", off), true
		s = strings.TrimSpace(s[:i])
	}
	f := strings.Split(s, ":")
	if len(f) < 2 || len(f) > 4 {
		return 0, 0, 0, 0, loc, false, false
	}
	get := func(s string, limit int) int {
		v, err := strconv.Atoi(s)
		if err != nil || len(s) > 2 || v < 0 || v >= limit {
			return -1
		}
		return v
	}
	h, m = get(f[0], 24), get(f[1], 60)
	if len(f) >= 3 {
		whole, frac, dotted := strings.Cut(f[2], ".")
		if len(f) == 4 { // hh:mm:ss:mmm
			frac = strings.Repeat("0", max(0, 3-len(f[3]))) + f[3]
			dotted = true
		}
		sec = get(whole, 60)
		if dotted {
			if frac == "" || len(frac) > 9 {
				return 0, 0, 0, 0, loc, false, false
			}
			v, err := strconv.Atoi(frac)
			if err != nil || v < 0 {
				return 0, 0, 0, 0, loc, false, false
			}
			for i := len(frac); i < 9; i++ {
				v *= 10
			}
			ns = v
		}
	}
	if half != "" && (h < 1 || h > 12) {
		return 0, 0, 0, 0, loc, false, false
	}
	if half == "PM" && h < 12 {
		h += 12
	}
	if half == "AM" && h == 12 {
		h = 0
	}
	return h, m, sec, ns, loc, zoned, h >= 0 && m >= 0 && sec >= 0
}

// fracText is the fraction without its dot: three digits for datetime, Scale digits for the others.
func fracText(t time.Time, typ Type) string {
	switch typ.Kind {
	case KindDateTime:
		return fmt.Sprintf("%03d", (t.Nanosecond()+500_000)/1_000_000)
	case KindDateTime2, KindDateTimeOffset, KindTime:
		return fmt.Sprintf("%09d", t.Nanosecond())[:typ.Scale]
	}
	return ""
}

func zoneText(t time.Time, sep string) string {
	_, off := t.Zone()
	sign := "+"
	if off < 0 {
		sign, off = "-", -off
	}
	return fmt.Sprintf("%s%02d%s%02d", sign, off/3600, sep, off/60%60)
}

// formatTime is CONVERT(varchar, t, style); ok is false for a style that does not exist.
func formatTime(t time.Time, typ Type, style int) (string, bool) {
	frac := fracText(t, typ)
	dot := func(s string) string {
		if frac == "" {
			return ""
		}
		return s + frac
	}
	date := t.Format("2006-01-02")
	clock := t.Format("15:04:05")
	zone := ""
	if typ.Kind == KindDateTimeOffset {
		zone = " " + zoneText(t, ":")
	}
	onlyDate, onlyTime := typ.Kind == KindDate, typ.Kind == KindTime
	if style == 0 || style == 100 {
		// date, time, datetime2 and datetimeoffset have the ODBC form as their default.
		switch typ.Kind {
		case KindDate, KindTime, KindDateTime2, KindDateTimeOffset:
			if style == 0 {
				style = 121
			}
		}
	}
	pick := func(d, c string) string {
		switch {
		case onlyDate:
			return d
		case onlyTime:
			return c
		}
		return d + " " + c
	}
	twelve := func(layout string) string { return fmt.Sprintf("%2s", t.Format("3")) + t.Format(layout) }
	switch style {
	case 0, 100:
		return pick(t.Format("Jan _2 2006"), twelve(":04PM")) + zone, true
	case 9, 109:
		return pick(t.Format("Jan _2 2006"), twelve(":04:05")+dot(":")+t.Format("PM")) + zone, true
	case 1:
		return t.Format("01/02/06"), true
	case 101:
		return t.Format("01/02/2006"), true
	case 2:
		return t.Format("06.01.02"), true
	case 102:
		return t.Format("2006.01.02"), true
	case 3:
		return t.Format("02/01/06"), true
	case 103:
		return t.Format("02/01/2006"), true
	case 4:
		return t.Format("02.01.06"), true
	case 104:
		return t.Format("02.01.2006"), true
	case 5:
		return t.Format("02-01-06"), true
	case 105:
		return t.Format("02-01-2006"), true
	case 6:
		return t.Format("02 Jan 06"), true
	case 106:
		return t.Format("02 Jan 2006"), true
	case 7:
		return t.Format("Jan 02, 06"), true
	case 107:
		return t.Format("Jan 02, 2006"), true
	case 8, 24, 108:
		return clock, true
	case 10:
		return t.Format("01-02-06"), true
	case 110:
		return t.Format("01-02-2006"), true
	case 11:
		return t.Format("06/01/02"), true
	case 111:
		return t.Format("2006/01/02"), true
	case 12:
		return t.Format("060102"), true
	case 112:
		return t.Format("20060102"), true
	case 13, 113:
		return pick(t.Format("02 Jan 2006"), clock+dot(":")) + zone, true
	case 14, 114:
		return clock + dot(":"), true
	case 20, 120:
		return pick(date, clock) + zone, true
	case 21, 25, 121:
		return pick(date, clock+dot(".")) + zone, true
	case 22:
		return pick(t.Format("01/02/06"), twelve(":04:05 PM")), true
	case 23:
		return date, true
	case 126, 127:
		if strings.Trim(frac, "0") == "" && typ.Kind == KindDateTime {
			frac = ""
		}
		z := ""
		if typ.Kind == KindDateTimeOffset {
			if style == 127 {
				t = t.UTC()
				date, clock, z = t.Format("2006-01-02"), t.Format("15:04:05"), "Z"
			} else {
				z = zoneText(t, ":")
			}
		}
		switch {
		case onlyDate:
			return date, true
		case onlyTime:
			return clock + dot("."), true
		}
		return date + "T" + clock + dot(".") + z, true
	}
	return "", false
}

// datePartName gives the canonical name of a datepart or its abbreviation, "" if there is none.
func datePartName(s string) string {
	switch strings.ToLower(s) {
	case "year", "yy", "yyyy":
		return "year"
	case "quarter", "qq", "q":
		return "quarter"
	case "month", "mm", "m":
		return "month"
	case "dayofyear", "dy", "y":
		return "dayofyear"
	case "day", "dd", "d":
		return "day"
	case "week", "wk", "ww":
		return "week"
	case "iso_week", "isowk", "isoww":
		return "iso_week"
	case "weekday", "dw", "w":
		return "weekday"
	case "hour", "hh":
		return "hour"
	case "minute", "mi", "n":
		return "minute"
	case "second", "ss", "s":
		return "second"
	case "millisecond", "ms":
		return "millisecond"
	case "microsecond", "mcs":
		return "microsecond"
	case "nanosecond", "ns":
		return "nanosecond"
	case "tzoffset", "tz":
		return "tzoffset"
	}
	return ""
}

var unitOf = map[string]time.Duration{"hour": time.Hour, "minute": time.Minute, "second": time.Second, "millisecond": time.Millisecond, "microsecond": time.Microsecond, "nanosecond": 1}

// dateAdd adds n parts; ok is false if the result is out of range.
func dateAdd(part string, n int64, t time.Time) (time.Time, bool) {
	if n > 1<<31 || n < -(1<<31) {
		return t, false
	}
	months := func(k int64) (time.Time, bool) {
		total := int64(t.Year())*12 + int64(t.Month()) - 1 + k
		y, m := total/12, time.Month(total%12+1)
		if total < 12 || y > 9999 {
			return t, false
		}
		d := min(t.Day(), time.Date(int(y), m+1, 0, 0, 0, 0, 0, time.UTC).Day())
		return time.Date(int(y), m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()), true
	}
	days := func(k int64) (time.Time, bool) {
		if k > 4_000_000 || k < -4_000_000 {
			return t, false
		}
		r := t.AddDate(0, 0, int(k))
		return r, r.Year() >= 1 && r.Year() <= 9999
	}
	switch part {
	case "year":
		return months(n * 12)
	case "quarter":
		return months(n * 3)
	case "month":
		return months(n)
	case "week":
		return days(n * 7)
	case "day", "dayofyear", "weekday":
		return days(n)
	}
	u := unitOf[part]
	perDay := int64(24 * time.Hour / u)
	r, ok := days(n / perDay)
	if !ok {
		return t, false
	}
	r = r.Add(time.Duration(n%perDay) * u)
	return r, r.Year() >= 1 && r.Year() <= 9999
}

// dateDiff counts the boundaries of part between a and b.
func dateDiff(part string, a, b time.Time) (n int64, ok bool) {
	a, b = a.UTC(), b.UTC()
	day := func(t time.Time) int64 { return floorDiv(t.Unix(), 86400) }
	month := func(t time.Time) int64 { return int64(t.Year())*12 + int64(t.Month()) - 1 }
	switch part {
	case "year":
		return int64(b.Year() - a.Year()), true
	case "quarter":
		return floorDiv(month(b), 3) - floorDiv(month(a), 3), true
	case "month":
		return month(b) - month(a), true
	case "day", "dayofyear", "weekday":
		return day(b) - day(a), true
	case "week": // boundaries between Saturday and Sunday
		return floorDiv(day(b)+4, 7) - floorDiv(day(a)+4, 7), true
	case "hour":
		return floorDiv(b.Unix(), 3600) - floorDiv(a.Unix(), 3600), true
	case "minute":
		return floorDiv(b.Unix(), 60) - floorDiv(a.Unix(), 60), true
	case "second":
		return b.Unix() - a.Unix(), true
	}
	u := int64(unitOf[part])
	per := 1_000_000_000 / u
	secs := b.Unix() - a.Unix()
	if secs > 9_000_000_000/max(per/1_000_000_000, 1) && u == 1 || secs < -9_000_000_000 && u == 1 {
		return 0, false
	}
	return secs*per + int64(b.Nanosecond())/u - int64(a.Nanosecond())/u, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func datePart(part string, t time.Time) int64 {
	switch part {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Month()-1)/3 + 1
	case "month":
		return int64(t.Month())
	case "dayofyear":
		return int64(t.YearDay())
	case "day":
		return int64(t.Day())
	case "week":
		first := time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		return int64(t.YearDay()-1+int(first.Weekday()))/7 + 1
	case "iso_week":
		_, w := t.ISOWeek()
		return int64(w)
	case "weekday":
		return int64(t.Weekday()) + 1
	case "hour":
		return int64(t.Hour())
	case "minute":
		return int64(t.Minute())
	case "second":
		return int64(t.Second())
	case "millisecond":
		return int64(t.Nanosecond()+500_000) / 1_000_000 % 1000
	case "microsecond":
		return int64(t.Nanosecond()) / 1000
	case "nanosecond":
		return int64(t.Nanosecond())
	case "tzoffset":
		_, off := t.Zone()
		return int64(off / 60)
	}
	return 0
}
