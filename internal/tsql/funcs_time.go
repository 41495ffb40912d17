package tsql

import (
	"math"
	"strconv"
	"time"
)

// clockFunc is a function of the statement's own moment.
func clockFunc(t Type, f func(now time.Time) time.Time) builtin {
	return builtin{0, 0, func(c *compiler, _ *callExpr, _ []cx) cx {
		v, _ := fitTime(f(c.x.now), t)
		return cx{t: t, f: func(*env) any { return v }}
	}}
}

// moment brings an argument to a temporal type: texts become def.
func (c *compiler) moment(a cx, def Type) cx {
	if a.t.IsTemporal() {
		return a
	}
	if a.t.IsNumber() {
		return c.to(a, DateTime)
	}
	return c.to(a, def)
}

// zoneName is CURRENT_TIMEZONE(): documented as "(UTC-08:00) Pacific Time (US
// & Canada)", with the offset of standard time. The name is the operating
// system's; here it is the location's.
func zoneName(now time.Time) string {
	name := now.Location().String()
	if now.Location() == time.UTC {
		return "(UTC) Coordinated Universal Time"
	}
	standard := time.Date(now.Year(), time.January, 1, 0, 0, 0, 0, now.Location())
	if july := time.Date(now.Year(), time.July, 1, 0, 0, 0, 0, now.Location()); offset(july) < offset(standard) {
		standard = july // the southern half
	}
	return "(UTC" + zoneText(standard, ":") + ") " + name
}

func offset(t time.Time) int {
	_, n := t.Zone()
	return n
}

func utc(t time.Time) time.Time  { return t.UTC() }
func same(t time.Time) time.Time { return t }

func timeFuncs() map[string]builtin {
	m := map[string]builtin{
		"GETDATE":           clockFunc(DateTime, same),
		"GETUTCDATE":        clockFunc(DateTime, utc),
		"SYSDATETIME":       clockFunc(DateTime2(7), same),
		"SYSUTCDATETIME":    clockFunc(DateTime2(7), utc),
		"SYSDATETIMEOFFSET": clockFunc(DateTimeOffset(7), same),
		"CURRENT_TIMEZONE":  {0, 0, func(c *compiler, _ *callExpr, _ []cx) cx { return constant(zoneName(c.x.now), VarChar(128)) }},
		"DATEADD": {3, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			part := a[0].val.(string)
			t := c.moment(a[2], DateTime)
			unit, isTime := unitOf[part]
			if t.t.Kind == KindDate && isTime || part == "tzoffset" || part == "iso_week" {
				failCompile(c.x.line, 9810, 16, 1, "The datepart %s is not supported by date function dateadd for data type %s.", part, t.t.Kind)
			}
			n := c.to(a[1], BigInt)
			return strict(t.t, []cx{n, t}, func(v []any) any {
				k := v[0].(int64)
				if k > math.MaxInt32 || k < math.MinInt32 {
					fail(8115, 16, 2, "Arithmetic overflow error converting expression to data type int.")
				}
				_ = unit
				r, ok := dateAdd(part, k, v[1].(time.Time))
				if ok && t.t.Kind == KindTime {
					r = time.Date(1900, 1, 1, r.Hour(), r.Minute(), r.Second(), r.Nanosecond(), time.UTC)
				}
				if ok {
					r, ok = fitTime(r, t.t)
				}
				if !ok {
					fail(517, 16, 1, "Adding a value to a '%s' column caused an overflow.", t.t.Kind)
				}
				return r
			})
		}},
		"DATEDIFF":     {3, 3, func(c *compiler, _ *callExpr, a []cx) cx { return dateDiffFunc(c, a, Int) }},
		"DATEDIFF_BIG": {3, 3, func(c *compiler, _ *callExpr, a []cx) cx { return dateDiffFunc(c, a, BigInt) }},
		"DATEPART": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			part := a[0].val.(string)
			return strict(Int, []cx{c.moment(a[1], DateTimeOffset(7))}, func(v []any) any { return datePart(part, v[0].(time.Time)) })
		}},
		"DATENAME": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			part := a[0].val.(string)
			return strict(NVarChar(30), []cx{c.moment(a[1], DateTimeOffset(7))}, func(v []any) any {
				t := v[0].(time.Time)
				switch part {
				case "month":
					return t.Month().String()
				case "weekday":
					return t.Weekday().String()
				case "tzoffset":
					return zoneText(t, ":")
				}
				return strconv.FormatInt(datePart(part, t), 10)
			})
		}},
		"EOMONTH": {1, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			args := []cx{c.to(c.moment(a[0], DateTime), Date)}
			if len(a) > 1 {
				args = append(args, c.to(a[1], Int))
			}
			return strict(Date, args, func(v []any) any {
				t := v[0].(time.Time)
				if len(v) > 1 {
					var ok bool
					if t, ok = dateAdd("month", v[1].(int64), t); !ok {
						fail(517, 16, 1, "Adding a value to a 'date' column caused an overflow.")
					}
				}
				return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC)
			})
		}},
		"DATEFROMPARTS": {3, 3, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(Date, []cx{c.to(a[0], Int), c.to(a[1], Int), c.to(a[2], Int)}, func(v []any) any {
				y, m, d := v[0].(int64), v[1].(int64), v[2].(int64)
				if y < 1 || y > 9999 || m < 1 || m > 12 || d < 1 || d > 31 {
					fail(289, 16, 1, "Cannot construct data type date, some of the arguments have values which are not valid.")
				}
				t := time.Date(int(y), time.Month(m), int(d), 0, 0, 0, 0, time.UTC)
				if t.Day() != int(d) {
					fail(289, 16, 1, "Cannot construct data type date, some of the arguments have values which are not valid.")
				}
				return t
			})
		}},
		"SWITCHOFFSET": {2, 2, func(c *compiler, _ *callExpr, a []cx) cx {
			t := c.to(c.moment(a[0], DateTimeOffset(7)), DateTimeOffset(7))
			return strict(DateTimeOffset(7), []cx{t, c.text(a[1])}, func(v []any) any {
				z, zoned, ok := parseTime("2000-01-01 00:00:00" + v[1].(string))
				if !ok || !zoned {
					fail(9812, 16, 0, "The timezone provided to builtin function switchoffset is invalid.")
				}
				return v[0].(time.Time).In(z.Location())
			})
		}},
		"ISDATE": {1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			s := c.text(a[0])
			return cx{t: Int, f: func(e *env) any {
				v, ok := s.f(e).(string)
				if _, err := Convert(v, VarChar(MaxLen), DateTime); ok && v != "" && err == nil {
					return int64(1)
				}
				return int64(0)
			}}
		}},
	}
	for name, part := range map[string]string{"YEAR": "year", "MONTH": "month", "DAY": "day"} {
		m[name] = builtin{1, 1, func(c *compiler, _ *callExpr, a []cx) cx {
			return strict(Int, []cx{c.moment(a[0], DateTimeOffset(7))}, func(v []any) any { return datePart(part, v[0].(time.Time)) })
		}}
	}
	return m
}

func dateDiffFunc(c *compiler, a []cx, t Type) cx {
	part := a[0].val.(string)
	if part == "tzoffset" || part == "iso_week" {
		failCompile(c.x.line, 9806, 16, 0, "The datepart %s is not supported by date function datediff.", part)
	}
	x, y := c.moment(a[1], DateTimeOffset(7)), c.moment(a[2], DateTimeOffset(7))
	return strict(t, []cx{x, y}, func(v []any) any {
		n, ok := dateDiff(part, v[0].(time.Time), v[1].(time.Time))
		if !ok || t.Kind == KindInt && (n > math.MaxInt32 || n < math.MinInt32) {
			fail(535, 16, 0, "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.")
		}
		return n
	})
}
