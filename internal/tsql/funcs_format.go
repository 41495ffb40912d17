package tsql

import (
	"strconv"
	"strings"
	"time"
)

// formatFunc is FORMAT for numbers (N, F, D, C-less, 0 and # patterns) and for dates in the usual letters; a form that it does not know is an error.
func formatFunc(c *compiler, e *callExpr, a []cx) cx {
	if !a[0].t.IsNumber() && !a[0].t.IsTemporal() {
		failCompile(c.line(e.line), 8116, 16, 1, "Argument data type %s is invalid for argument 1 of format function.", a[0].t.Kind)
	}
	args := []cx{a[0], c.text(a[1])}
	if len(a) > 2 {
		args = append(args, c.text(a[2]))
	}
	temporal := a[0].t.IsTemporal()
	return strict(NVarChar(4000), args, func(v []any) any {
		if len(v) > 2 && !EqualFold(v[2].(string), "en-us") && !EqualFold(v[2].(string), "") {
			panic(NotImplemented("FORMAT with the culture " + v[2].(string)))
		}
		f := v[1].(string)
		if temporal {
			return formatDate(v[0].(time.Time), f)
		}
		return formatNumber(v[0], f)
	})
}

func formatNumber(v any, f string) any {
	var d Decimal
	switch x := v.(type) {
	case int64:
		d = decimalFromInt(x)
	case Decimal:
		d = x
	case float64:
		var ok bool
		if d, ok = decimalFromFloat(x, 15); !ok {
			return nil
		}
	default:
		return nil
	}
	group, digits, minWhole, optional := false, 2, 1, 0
	up := strings.ToUpper(f)
	switch {
	case up == "":
		return d.String()
	case len(up) <= 3 && strings.IndexByte("NFD", up[0]) >= 0:
		group = up[0] == 'N'
		if up[0] == 'D' {
			digits = 0
		}
		if len(up) > 1 {
			n, err := strconv.Atoi(up[1:])
			if err != nil {
				return nil
			}
			if up[0] == 'D' {
				minWhole = n
			} else {
				digits = n
			}
		}
	default:
		if strings.Trim(f, "0#,.") != "" {
			panic(NotImplemented("FORMAT with the pattern '" + f + "'"))
		}
		whole, frac, _ := strings.Cut(f, ".")
		group = strings.Contains(whole, ",")
		minWhole = strings.Count(whole, "0")
		digits = len(frac)
		optional = strings.Count(frac, "#")
	}
	s := d.rescale(uint8(min(digits, 30))).String()
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	whole, frac, _ := strings.Cut(s, ".")
	for len(whole) < minWhole {
		whole = "0" + whole
	}
	if minWhole == 0 && whole == "0" {
		whole = ""
	}
	for optional > 0 && strings.HasSuffix(frac, "0") {
		frac = frac[:len(frac)-1]
		optional--
	}
	if group {
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
	}
	if frac != "" {
		whole += "." + frac
	}
	if neg && strings.Trim(whole, "0.,") != "" {
		whole = "-" + whole
	}
	return whole
}

func formatDate(t time.Time, f string) any {
	switch f {
	case "d":
		f = "M/d/yyyy"
	case "s":
		f = "yyyy-MM-ddTHH:mm:ss"
	case "o", "O":
		f = "yyyy-MM-ddTHH:mm:ss.fffffff"
	case "u":
		f = "yyyy-MM-dd HH:mm:ssZ"
	}
	var b strings.Builder
	for i := 0; i < len(f); {
		c := f[i]
		n := 1
		for i+n < len(f) && f[i+n] == c {
			n++
		}
		pick := func(forms ...string) { b.WriteString(t.Format(forms[min(n, len(forms))-1])) }
		switch c {
		case 'y':
			if n <= 2 {
				b.WriteString(t.Format("06"))
			} else {
				b.WriteString(t.Format("2006"))
			}
		case 'M':
			pick("1", "01", "Jan", "January")
		case 'd':
			pick("2", "02", "Mon", "Monday")
		case 'H':
			if n == 1 {
				b.WriteString(strconv.Itoa(t.Hour()))
			} else {
				b.WriteString(t.Format("15"))
			}
		case 'h':
			pick("3", "03")
		case 'm':
			pick("4", "04")
		case 's':
			pick("5", "05")
		case 'f':
			b.WriteString((strconv.Itoa(1_000_000_000 + t.Nanosecond()))[1 : 1+min(n, 9)])
		case 't':
			b.WriteString(t.Format("PM")[:min(n, 2)])
		case '\'', '"':
			j := strings.IndexByte(f[i+1:], c)
			if j < 0 {
				return nil
			}
			b.WriteString(f[i+1 : i+1+j])
			n = j + 2
		case '\\':
			if i+1 < len(f) {
				b.WriteByte(f[i+1])
			}
			n = 2
		default:
			if c >= 'a' && c <= 'z' && c != 'Z' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z' {
				panic(NotImplemented("FORMAT with the pattern '" + f + "'"))
			}
			b.WriteString(f[i : i+n])
		}
		i += n
	}
	return b.String()
}
