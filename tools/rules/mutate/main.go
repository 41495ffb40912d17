// Command mutate breaks the rules that may start a cutover, and those that
// page, in every small way it knows, and runs promtool's tests over each
// result. A mutant that no test notices survives: it is either a hole in the
// tests or equivalent to the rule. The equivalent ones stand, each with its
// reason, in alerts/mutants.txt. Exit 1 if another one survives, or if the list
// names one that no longer does.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// rule is a rule of the file, as far as it is mutated.
type rule struct {
	Record        string            `yaml:"record,omitempty"`
	Alert         string            `yaml:"alert,omitempty"`
	Expr          string            `yaml:"expr"`
	For           string            `yaml:"for,omitempty"`
	KeepFiringFor string            `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:"labels,omitempty"`
	Annotations   map[string]string `yaml:"annotations,omitempty"`
}

func (r *rule) name() string { return r.Record + r.Alert }

type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type file struct {
	Groups []group `yaml:"groups"`
}

func (f file) all() []rule {
	var out []rule
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

func main() {
	os.Exit(run())
}

func run() int {
	dir := flag.String("alerts", "alerts", "the folder with rules.yml, tests/ and mutants.txt")
	promtool := flag.String("promtool", "promtool", "promtool")
	only := flag.String("only", "", "mutate this rule alone (the list is not checked for leftovers then)")
	workers := flag.Int("workers", 2, "promtools at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := mutate(ctx, *dir, *promtool, *only, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		return 1
	}
	return 0
}

func mutate(ctx context.Context, dir, promtool, only string, workers int) error {
	promtool, err := exec.LookPath(promtool)
	if err != nil {
		return err
	}
	if promtool, err = filepath.Abs(promtool); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "rules.yml"))
	if err != nil {
		return err
	}
	var rules file
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return err
	}
	tests, err := readTests(filepath.Join(dir, "tests"))
	if err != nil {
		return err
	}
	listed, err := readList(filepath.Join(dir, "mutants.txt"))
	if err != nil {
		return err
	}
	b := bench{promtool: promtool, rules: rules, tests: tests}
	var none mutant
	for _, r := range rules.all() {
		if r.matters() {
			none.users = append(none.users, r.Alert)
		}
	}
	if v, out := b.try(ctx, none); v != survived {
		return fmt.Errorf("the rules as they are fail their tests:\n%s", out)
	}
	var all []mutant
	for _, m := range mutants(rules) {
		if only == "" || m.rule == only {
			all = append(all, m)
		}
	}
	results := b.tryAll(ctx, all, workers)
	if err := ctx.Err(); err != nil {
		return err
	}
	return report(all, results, listed, only != "")
}

// report prints what survived, and is an error if that is not the list.
func report(all []mutant, results []verdict, listed map[string]string, partly bool) error {
	var bad []string
	var count [3]int
	for i, m := range all {
		count[results[i]]++
		reason, ok := listed[m.id()]
		delete(listed, m.id())
		switch {
		case results[i] == survived && !ok:
			bad = append(bad, "survived: "+m.id()+"\n\t"+strings.ReplaceAll(strings.TrimSpace(m.now), "\n", "\n\t"))
		case results[i] != survived && ok:
			bad = append(bad, "listed as equivalent, and is not: "+m.id()+" ("+reason+")")
		}
	}
	for id := range listed {
		if !partly {
			bad = append(bad, "listed, and there is no such mutant: "+id)
		}
	}
	fmt.Printf("%d mutants: %d killed, %d equivalent or surviving, %d that no parser takes\n", len(all), count[killed], count[survived], count[invalid])
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

type verdict int

const (
	killed   verdict = iota // a test failed
	survived                // every test passed
	invalid                 // not an expression
)

// bench tries mutants.
type bench struct {
	promtool string
	rules    file
	tests    map[string]testFile // by file name
}

// testFile is a file of promtool tests.
type testFile struct {
	RuleFiles          []string    `yaml:"rule_files"`
	EvaluationInterval string      `yaml:"evaluation_interval"`
	Tests              []yaml.Node `yaml:"tests"`
}

// of is the file with those blocks alone that speak of the mutant's rule: the
// others cannot notice it. Nil if there is none.
func (f testFile) of(m *mutant) ([]byte, error) {
	var blocks []yaml.Node
	for i := range f.Tests {
		text, err := yaml.Marshal(&f.Tests[i])
		if err != nil {
			return nil, err
		}
		if m.spokenOf(string(text)) {
			blocks = append(blocks, f.Tests[i])
		}
	}
	if blocks == nil {
		return nil, nil
	}
	f.Tests = blocks
	return yaml.Marshal(f)
}

func (b *bench) tryAll(ctx context.Context, all []mutant, workers int) []verdict {
	results := make([]verdict, len(all))
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				results[i], _ = b.try(ctx, all[i])
			}
		})
	}
	for i := range all {
		if i%20 == 0 {
			fmt.Fprintf(os.Stderr, "mutant %d of %d\n", i, len(all))
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// try runs the tests that speak of the mutant's rule, over rules that hold it.
func (b *bench) try(ctx context.Context, m mutant) (verdict, string) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return killed, err.Error()
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out, err := b.testIn(ctx, dir, m)
	switch {
	case err == nil:
		return survived, out
	case strings.Contains(out, "could not parse expression"):
		return invalid, out
	}
	return killed, out + err.Error()
}

func (b *bench) testIn(ctx context.Context, dir string, m mutant) (string, error) {
	text, err := yaml.Marshal(m.apply(b.rules))
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "tests"), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), text, 0o644); err != nil {
		return "", err
	}
	args := []string{"test", "rules"}
	for name, test := range b.tests {
		text, err := test.of(&m)
		if err != nil {
			return "", err
		}
		if text == nil {
			continue
		}
		path := filepath.Join(dir, "tests", name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return "", err
		}
		args = append(args, path)
	}
	if len(args) == 2 {
		return "no test speaks of it", nil
	}
	out, err := exec.CommandContext(ctx, b.promtool, args...).CombinedOutput()
	return string(out), err
}

func readTests(dir string) (map[string]testFile, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	if err != nil {
		return nil, err
	}
	tests := map[string]testFile{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		var f testFile
		if err := yaml.Unmarshal(b, &f); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		tests[filepath.Base(p)] = f
	}
	return tests, nil
}

// readList reads "mutant # reason" lines. A mutant without a reason is an error.
func readList(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	list := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, reason, ok := strings.Cut(line, " # ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: want: mutant # reason", path, n)
		}
		list[strings.TrimSpace(id)] = reason
	}
	return list, lines.Err()
}
