package hadr

import (
	"slices"
	"strings"
	"unicode"
)

// pair is one database on both sides.
type pair struct {
	name           string
	source, target *Database // nil where the side's AG does not hold it
	unexpected     bool      // the configuration names a set, and not this one
	ambiguous      bool      // two names of one side are the same here
}

// pairs brings the sides' databases together by name, since the local AGs'
// group_database_ids differ, and adds those that are only expected. Names are
// compared as the servers do; where one of them is case-sensitive, as that
// one does. That can only keep apart what belongs together, which is "only on
// one side" and therefore never better than behind.
func (c *comparison) pairs() []pair {
	fold := folder(c.source != nil && c.source.Identity.CaseSensitive || c.target != nil && c.target.Identity.CaseSensitive)
	byName := map[string]*pair{}
	at := func(name string) *pair {
		k := fold(name)
		if byName[k] == nil {
			byName[k] = &pair{name: name, unexpected: len(c.opt.Databases) > 0}
		}
		return byName[k]
	}
	if c.source != nil {
		for i := range c.source.Databases {
			p := at(c.source.Databases[i].Name)
			p.ambiguous = p.ambiguous || p.source != nil
			p.source = &c.source.Databases[i]
		}
	}
	if c.target != nil {
		for i := range c.target.Databases {
			p := at(c.target.Databases[i].Name)
			p.ambiguous = p.ambiguous || p.target != nil
			p.target = &c.target.Databases[i]
		}
	}
	for _, name := range c.opt.Databases {
		at(name).unexpected = false
	}
	out := make([]pair, 0, len(byName))
	for _, p := range byName {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	return out
}

// folder makes the key under which two names are one to the server. SQL
// Server never tells trailing blanks apart, and a case-insensitive collation
// compares, near enough, by simple case folding. What a collation folds
// beyond that (width, kana) stays apart, which is the safe side.
func folder(caseSensitive bool) func(string) string {
	if caseSensitive {
		return func(s string) string { return strings.TrimRight(s, " ") }
	}
	return func(s string) string { return strings.Map(foldRune, strings.TrimRight(s, " ")) }
}

// foldRune is the smallest rune of r's case-folding orbit.
func foldRune(r rune) rune {
	least := r
	for n := unicode.SimpleFold(r); n != r; n = unicode.SimpleFold(n) {
		least = min(least, n)
	}
	return least
}
