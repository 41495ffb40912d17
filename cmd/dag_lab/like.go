package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// likeFile is the lab's own small view of a product configuration: names, and the document as it was written, so that it can be
// given back with other DSNs.
type likeFile struct {
	dags  []likeDAG
	sides [][2]*yaml.Node // of each of dags, in doc
	doc   yaml.Node
}

type likeDAG struct {
	Name         string   `yaml:"name"`
	Group        string   `yaml:"group"`
	Source       likeSide `yaml:"source"`
	Target       likeSide `yaml:"target"`
	Databases    []string `yaml:"databases"`
	CrossVersion bool     `yaml:"cross_version"`
}

type likeSide struct {
	AG        string   `yaml:"ag"`
	Instances []string `yaml:"instances"`
}

func readLike(name string) (*likeFile, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: --like: %w", errUsage, err)
	}
	l, err := parseLike(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUsage, name, err)
	}
	return l, nil
}

func parseLike(b []byte) (*likeFile, error) {
	l := &likeFile{}
	var view struct {
		DAGs []likeDAG `yaml:"dags"`
	}
	if err := yaml.Unmarshal(b, &l.doc); err != nil {
		return nil, errors.New("it is not YAML") // the parser's message may quote a password
	}
	if err := l.doc.Decode(&view); err != nil {
		return nil, errors.New("its dags are not written as a dag_exporter configuration has them")
	}
	if len(view.DAGs) == 0 {
		return nil, errors.New("it has no dags")
	}
	seen := map[string]bool{}
	for i, d := range view.DAGs {
		if d.Name == "" || d.Source.AG == "" || d.Target.AG == "" {
			return nil, fmt.Errorf("dag %d has no name, or no ag on a side", i+1)
		}
		if seen[d.Name] {
			return nil, fmt.Errorf("two dags are named %q", d.Name)
		}
		seen[d.Name] = true
		if d.Group == "" {
			view.DAGs[i].Group = d.Name
		}
	}
	l.dags = view.DAGs
	return l, l.find()
}

// worlds makes a pair of every DAG: what the configuration does not say comes from the flags. Ports count up from those of the
// flags, two for each DAG.
func (l *likeFile) worlds(f *serveFlags, base lab.Options) ([]*world, error) {
	var list []*world
	used := map[string]bool{}
	for i, d := range l.dags {
		opt := base
		m := &opt.Model
		m.DAG = d.Group
		m.Seed = base.Model.Seed + uint64(i)
		if len(d.Databases) > 0 {
			m.Databases = d.Databases
		}
		w := &world{name: d.Name}
		for s, side := range []likeSide{d.Source, d.Target} {
			n := max(f.instances[s], min(len(side.Instances), 3))
			w.instances[s] = n
			first := base.Model.Sides[s].Instances[0]
			if d.CrossVersion && f.versions == [2]int{} && s == int(model.Source) {
				if first.Major--; first.Major < 13 {
					return nil, fmt.Errorf("%w: dag %q is cross_version: --version must be above 13, or give --version.source and --version.target", errUsage, d.Name)
				}
			}
			cfg := &m.Sides[s]
			cfg.AG = side.AG
			cfg.Instances = make([]model.InstanceConfig, n)
			for k := range cfg.Instances {
				in := first
				name := fmt.Sprintf("N%d%s", s+1, suffix(i, k))
				if k < len(side.Instances) {
					if h := hostOf(side.Instances[k]); h != "" && !used[h] {
						name = h
					}
				}
				used[name] = true
				in.ServerName = name
				cfg.Instances[k] = in
			}
			var err error
			if opt.Listen[s], err = later(base.Listen[s], 2*i); err != nil {
				return nil, err
			}
		}
		w.opt = opt
		list = append(list, w)
	}
	return list, nil
}

// suffix keeps server names of further DAGs and instances apart.
func suffix(dag, instance int) string {
	out := ""
	if dag > 0 {
		out = "-" + strconv.Itoa(dag+1)
	}
	if instance > 0 {
		out += string(rune('a' + instance))
	}
	return out
}

// hostOf is the server name that a DSN suggests, in upper case as @@SERVERNAME mostly is; "" where it suggests none. What stands
// before the @ is not looked at.
func hostOf(dsn string) string {
	_, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@')
	rest, instance, _ := strings.Cut(rest[at+1:], "/")
	host, _, _ := strings.Cut(rest, ":")
	if host == "" || strings.ContainsAny(host+instance, "${}[]") || net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") {
		return ""
	}
	host, _, _ = strings.Cut(host, ".")
	name := strings.ToUpper(host)
	if instance = strings.Trim(instance, "/"); instance != "" {
		name += `\` + strings.ToUpper(instance)
	}
	return name
}

// later is an address with a port so much higher; port 0 stays.
func later(address string, by int) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%w: --listen: %w", errUsage, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("%w: --listen: the port of %q is no number", errUsage, address)
	}
	if n == 0 {
		return address, nil
	}
	return net.JoinHostPort(host, strconv.Itoa(n+by)), nil
}

// with is the configuration as it was written, with the lab's DSNs in place of its own.
func (l *likeFile) with(list []*world) ([]byte, error) {
	for i, w := range list {
		for s, side := range l.sides[i] {
			seq := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
			for n := range w.instances[s] {
				dsn := w.lab.DSNFor(w.lab.AddressOf(lab.Side(s), n), lab.SA, lab.SAPassword, "master")
				seq.Content = append(seq.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: dsn})
			}
			drop(side, "dsn_file")
			drop(side, "instances")
			side.Content = append(side.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "instances"}, seq)
		}
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&l.doc); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// find notes where each DAG's sides stand. One that is not written out at its place cannot be given another DSN, and must not be
// passed on with the one of a real server.
func (l *likeFile) find() error {
	dags := child(l.doc.Content[0], "dags")
	if dags == nil || dags.Kind != yaml.SequenceNode {
		return errors.New("its dags are not a list that is written out")
	}
	seen := map[*yaml.Node]bool{}
	for i, d := range dags.Content {
		var sides [2]*yaml.Node
		for s, key := range []string{"source", "target"} {
			n := child(d, key)
			if n == nil || n.Kind != yaml.MappingNode || seen[n] || child(n, "<<") != nil {
				return fmt.Errorf("dag %d: its %s must be written out, not by alias or merge", i+1, key)
			}
			seen[n], sides[s] = true, n
		}
		l.sides = append(l.sides, sides)
	}
	return nil
}

// child is the value of a key of a mapping; nil where there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func drop(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}
