package tsql

// LIKE and PATINDEX.

// like matches with %, _, [a-z], [^a-z] and an escape character (0 for none), without recursion.
func (c collation) like(s, pat string, esc rune) bool {
	str := []rune(s)
	c.known(s)
	c.known(pat)
	if c&collKind == collCI {
		for i, r := range str {
			str[i] = foldRune(r)
		}
	}
	items, ok := c.likeItems([]rune(pat), esc)
	if !ok {
		return false
	}
	i, j, star, mark := 0, 0, -1, 0
	for i < len(str) {
		switch {
		case j < len(items) && items[j].any:
			star, mark = j, i
			j++
		case j < len(items) && items[j].match(c, str[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return restBlank(str[i:], items[j:])
		}
	}
	for j < len(items) && items[j].any {
		j++
	}
	return j == len(items)
}

// restBlank: blanks at the end of the string that the pattern does not have are ignored.
func restBlank(rest []rune, items []likeItem) bool {
	if len(items) > 0 {
		return false
	}
	for _, r := range rest {
		if r != ' ' {
			return false
		}
	}
	return true
}

type likeItem struct {
	any, one, not bool
	set           [][2]rune
	r             rune
}

func (m likeItem) match(c collation, r rune) bool {
	if m.one {
		return true
	}
	if m.set == nil {
		return m.r == r
	}
	for _, p := range m.set {
		if p[0] == p[1] && r == p[0] || p[0] != p[1] && c.within(r, p[0], p[1]) {
			return !m.not
		}
	}
	return m.not
}

// within reports lo ≤ r ≤ hi in the collation's order: [a-z] holds B where lower case sorts next to upper case. Without case, all three are folded.
func (c collation) within(r, lo, hi rune) bool {
	if c == collCI {
		w := weight(r)
		return weight(lo) <= w && w <= weight(hi)
	}
	return c.compare(string(lo), string(r)) <= 0 && c.compare(string(r), string(hi)) <= 0
}

func (c collation) likeItems(pat []rune, esc rune) ([]likeItem, bool) {
	f := func(r rune) rune {
		if c&collKind == collCI {
			return foldRune(r)
		}
		return r
	}
	var out []likeItem
	for i := 0; i < len(pat); i++ {
		r := pat[i]
		switch {
		case esc != 0 && r == esc:
			i++
			if i >= len(pat) {
				return nil, false
			}
			out = append(out, likeItem{r: f(pat[i])})
		case r == '%':
			if len(out) == 0 || !out[len(out)-1].any {
				out = append(out, likeItem{any: true})
			}
		case r == '_':
			out = append(out, likeItem{one: true})
		case r == '[':
			m := likeItem{set: [][2]rune{}}
			i++
			if i < len(pat) && pat[i] == '^' {
				m.not = true
				i++
			}
			for first := true; ; first = false {
				if i >= len(pat) {
					return nil, false
				}
				if pat[i] == ']' && !first {
					break
				}
				if esc != 0 && pat[i] == esc && i+1 < len(pat) {
					i++
				}
				lo, hi := f(pat[i]), f(pat[i])
				if i+2 < len(pat) && pat[i+1] == '-' && pat[i+2] != ']' {
					hi = f(pat[i+2])
					i += 2
				}
				m.set = append(m.set, [2]rune{lo, hi})
				i++
			}
			out = append(out, m)
		default:
			out = append(out, likeItem{r: f(r)})
		}
	}
	return out, true
}
