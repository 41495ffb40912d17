package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration or DSN file: thousands of DAGs fit in a
// fraction of it, and a device or a log given by mistake does not.
const maxFileBytes = 16 << 20

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	Line int    // 1-based; 0 when no line is to blame
	Path string // dags[0].source.instances[1]; may be empty
	Text string // what is wrong and the remedy; never holds a secret
}

// String is file:line: path: text.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error lists every problem of a file, in the order of its lines.
type Error struct{ Problems []Problem }

// Error is one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads, expands, completes with defaults and checks one file. An error
// about the content is an *Error with every problem at once. No error holds
// the text of a DSN.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, &Error{[]Problem{{File: path, Text: "cannot be read: " + reason(err)}}}
	}
	return Parse(data, path)
}

// Parse is Load for a content that is already in memory; path names it in
// errors and is the base of relative dsn_file entries.
func Parse(data []byte, path string) (*Config, error) {
	p := &parser{file: path, data: data}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		p.yamlError(err)
		return nil, p.err()
	}
	if len(root.Content) == 0 {
		p.add(0, "", "the file is empty: give at least one entry under dags")
		return nil, p.err()
	}
	p.root = root.Content[0]

	cfg := &Config{}
	dec := yaml.NewDecoder(bytes.NewReader(p.withoutBadTimes()))
	dec.KnownFields(true)
	if err := dec.Decode(cfg); err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) || len(p.problems) == 0 {
			p.yamlError(err)
		}
		if te == nil {
			return nil, p.err()
		}
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.add(0, "", "holds more than one YAML document (---): use one file for each")
	}

	cfg.Path = path
	base := filepath.Dir(path)
	for i := range cfg.DAGs {
		d := &cfg.DAGs[i]
		where := fmt.Sprintf("dags[%d]", i)
		p.defaults(d, where)
		cfg.passwords = cfg.passwords || slices.ContainsFunc(slices.Concat(d.Source.Instances, d.Target.Instances),
			func(dsn Secret) bool { return plainPassword(dsn.Reveal()) })
		p.expand(&d.Source, base, where+".source")
		p.expand(&d.Target, base, where+".target")
	}
	p.validate(cfg)
	if err := p.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// ByName finds a DAG by its configured name.
func (c *Config) ByName(name string) (*DAG, bool) {
	for i := range c.DAGs {
		if c.DAGs[i].Name == name {
			return &c.DAGs[i], true
		}
	}
	return nil, false
}

// parser gathers problems and knows where in the file each path stands.
type parser struct {
	file     string
	data     []byte
	values   map[int][]value // by line, see place
	root     *yaml.Node
	problems []Problem
	typed    map[int]bool // lines whose value did not decode: no second complaint about them
}

func (p *parser) add(line int, path, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: line, Path: path, Text: fmt.Sprintf(format, args...)})
}

// at adds a problem at the line of a path, or of its nearest parent that is
// written in the file.
func (p *parser) at(path, format string, args ...any) {
	node, _ := p.find(path)
	line := 0
	if node != nil {
		line = node.Line
	}
	if p.typed[line] {
		return
	}
	p.add(line, path, format, args...)
}

func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	sort.SliceStable(p.problems, func(i, j int) bool { return p.problems[i].Line < p.problems[j].Line })
	return &Error{p.problems}
}

// has reports that a path is written in the file with a value.
func (p *parser) has(path string) bool {
	n, ok := p.find(path)
	return ok && n.Tag != "!!null"
}

// find follows a path like dags[0].source.ag. Without a match it returns the
// deepest node on the way, and false.
func (p *parser) find(path string) (*yaml.Node, bool) {
	n := p.root
	for _, seg := range segments(path) {
		next := child(resolve(n), seg)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// segments cuts dags[0].alert_match into dags, 0, alert_match.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func child(n *yaml.Node, seg string) *yaml.Node {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == seg {
				return n.Content[i+1]
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "<<" {
				if merged := mergedChild(n.Content[i+1], seg); merged != nil {
					return merged
				}
			}
		}
	case yaml.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(seg, "%d", &i); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}

// mergedChild looks one level into a merge key (<<: *anchor, or a list of
// them). Deeper chains only cost the exact line, never correctness of a value,
// except that a default may stand in for a zero written there.
func mergedChild(n *yaml.Node, seg string) *yaml.Node {
	n = resolve(n)
	if n == nil {
		return nil
	}
	candidates := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		candidates = n.Content
	}
	for _, c := range candidates {
		c = resolve(c)
		if c == nil || c.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(c.Content); i += 2 {
			if c.Content[i].Value == seg {
				return c.Content[i+1]
			}
		}
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("larger than %d MiB", maxFileBytes>>20)
	}
	return data, err
}

// reason is the cause of a file error without the path, which the caller names.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
