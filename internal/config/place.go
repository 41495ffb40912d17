package config

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// place is the path of the first value on a line that the library could not
// read as a Go type, and that was not told yet; "" if there is none. tag is
// the value's (!!str), or "" for any.
func (p *parser) place(line int, tag, goType string) string {
	for i, v := range p.values[line] {
		if v.told || v.goType != goType || tag != "" && v.node.ShortTag() != tag || tag == "" && readable(v) {
			continue
		}
		p.values[line][i].told = true
		return v.path
	}
	return ""
}

const timeText = "must be a time with its offset, such as 2026-11-24T22:00:00+01:00"

// withoutBadTimes tells each place that should be a time and is none, and is the
// file with blanks there: the library gives up at the first of them, and says
// neither where it is nor what else is wrong.
func (p *parser) withoutBadTimes() []byte {
	p.values = map[int][]value{}
	p.index(p.root, reflect.TypeFor[Config](), "")
	data := p.data
	for _, values := range p.values {
		for _, v := range values {
			if v.goType != "time.Time" || v.node.Kind != yaml.ScalarNode || isTimestamp(v.node) || v.node.ShortTag() == "!!null" {
				continue
			}
			if new(time.Time).UnmarshalText([]byte(v.node.Value)) != nil {
				p.add(v.node.Line, v.path, timeText)
				data = blank(data, v.node)
			}
		}
	}
	return data
}

// isTimestamp reports a value that the library reads as a time by itself, with
// an offset or without.
func isTimestamp(n *yaml.Node) bool { return n.ShortTag() == "!!timestamp" }

// blank is data with spaces for a value of one line, which are nothing in YAML.
// What it does not find (an escape in quotes, another encoding) stays.
func blank(data []byte, n *yaml.Node) []byte {
	at := 0
	for range n.Line - 1 {
		at += bytes.IndexByte(data[at:], '\n') + 1
	}
	for range n.Column - 1 { // runes
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	for _, quote := range []string{"", `"`, "'"} {
		if text := quote + n.Value + quote; bytes.HasPrefix(data[at:], []byte(text)) {
			return slices.Concat(data[:at], bytes.Repeat([]byte(" "), len(text)), data[at+len(text):])
		}
	}
	return data
}

// readable reports that a size or a duration is well written.
func readable(v value) bool {
	if v.goType == "config.Bytes" {
		return new(Bytes).UnmarshalYAML(v.node) == nil
	}
	return new(Duration).UnmarshalYAML(v.node) == nil
}

// value is one place of the file and the Go type that it should be.
type value struct {
	node         *yaml.Node
	path, goType string
	told         bool
}

// index notes where each value stands. Aliases are not followed: what they
// stand for is read where it is written.
func (p *parser) index(n *yaml.Node, t reflect.Type, path string) {
	if n == nil || n.Kind == yaml.AliasNode {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p.values[n.Line] = append(p.values[n.Line], value{node: n, path: path, goType: t.String()})
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, c := range n.Content {
			p.index(c, t.Elem(), path+"["+strconv.Itoa(i)+"]")
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := path
			if key := n.Content[i].Value; labelRE.MatchString(key) && len(key) <= 60 {
				at += "." + key
			}
			p.index(n.Content[i+1], t.Elem(), at)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		for i := 0; i+1 < len(n.Content); i += 2 {
			for f := range t.NumField() {
				if key, _, _ := strings.Cut(t.Field(f).Tag.Get("yaml"), ","); key != "" && key == n.Content[i].Value {
					p.index(n.Content[i+1], t.Field(f).Type, strings.TrimPrefix(path+"."+key, "."))
				}
			}
		}
	}
}
