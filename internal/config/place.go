package config

import (
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is the path of the first value on a line that the library could not
// read as a Go type, and that was not told yet; "" if there is none. tag is
// the value's (!!str), or "" for any.
func (p *parser) place(line int, tag, goType string) string {
	if p.values == nil {
		p.values = map[int][]value{}
		p.index(p.root, reflect.TypeFor[Config](), "")
	}
	for i, v := range p.values[line] {
		if v.told || v.goType != goType || tag != "" && v.node.ShortTag() != tag || tag == "" && readable(v) {
			continue
		}
		p.values[line][i].told = true
		return v.path
	}
	return ""
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
