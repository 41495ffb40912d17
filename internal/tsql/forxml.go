package tsql

import "strings"

// forXML compiles FOR XML PATH: rows become elements, columns become elements, attributes (@name) or plain text (no name, text(), *), in one value.
func (c *compiler) forXML(p *plan, x *forXML) *plan {
	cols := p.cols
	t := NVarChar(MaxLen)
	if x.typed {
		t = Type{Kind: KindXML}
	}
	conv := make([]func(any) any, len(cols))
	for i, col := range cols {
		if strings.ContainsAny(col.Name, "/<>&") {
			notImplemented(c.x.line, "FOR XML PATH with nested element names")
		}
		if col.Type.IsBinary() {
			notImplemented(c.x.line, "FOR XML with binary columns")
		}
		style := 0
		if col.Type.IsTemporal() {
			style = 126
		}
		conv[i] = conversion(col.Type, t0, style, true)
	}
	out := &plan{cols: []Column{{Name: "", Type: t, Nullable: true}}, labels: []label{{}}}
	run := p.run
	out.run = func(up *env, yield func([]any) bool) bool {
		var b strings.Builder
		n := 0
		run(up, func(row []any) bool {
			n++
			attrs, body := "", ""
			for i, v := range row {
				if v == nil {
					continue
				}
				raw := cols[i].Type.Kind == KindXML
				if conv[i] != nil {
					v = conv[i](v)
				}
				s := v.(string)
				name := cols[i].Name
				if !raw {
					s = xmlEscape(s, strings.HasPrefix(name, "@"))
				}
				switch {
				case name == "" || name == "*" || EqualFold(name, "text()") || EqualFold(name, "data()"):
					body += s
				case name[0] == '@':
					attrs += " " + xmlName(name[1:]) + "=\"" + s + "\""
				default:
					body += "<" + xmlName(name) + ">" + s + "</" + xmlName(name) + ">"
				}
			}
			if x.row == "" {
				b.WriteString(body)
			} else {
				b.WriteString("<" + x.row + attrs)
				if body == "" {
					b.WriteString("/>")
				} else {
					b.WriteString(">" + body + "</" + x.row + ">")
				}
			}
			if b.Len() > maxString {
				fail(ErrTooManyRows, 16, 2, "dag_lab gave up: a string of more than %d bytes.", maxString)
			}
			return true
		})
		s := b.String()
		if n == 0 {
			return yield([]any{nil})
		}
		if x.root != "" {
			s = "<" + x.root + ">" + s + "</" + x.root + ">"
		}
		return yield([]any{s})
	}
	return out
}

var t0 = NVarChar(MaxLen)

func xmlEscape(s string, attr bool) string {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#x0D;").Replace(s)
	if attr {
		s = strings.ReplaceAll(s, "\"", "&quot;")
	}
	return s
}

// xmlName encodes what an element's name cannot hold, as SQL Server does: a blank is _x0020_.
func xmlName(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r == ' ' || i == 0 && r >= '0' && r <= '9' {
			b.WriteString("_x00" + strings.ToUpper(string("0123456789abcdef"[r>>4])+string("0123456789abcdef"[r&15])) + "_")
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
