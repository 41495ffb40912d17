// Command mutate breaks the rules that may start a cutover, and those that
// page, in every small way it knows, and runs promtool's tests over each
// result. A mutant that no test notices survives: it is either a hole in the
// tests or equivalent to the rule. The equivalent ones stand, each with its
// reason, in alerts/mutants.txt. Exit 1 if another one survives, or if the list
// names one that no longer does.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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
	blocks, err := readTests(filepath.Join(dir, "tests"))
	if err != nil {
		return err
	}
	listed, err := readList(filepath.Join(dir, "mutants.txt"))
	if err != nil {
		return err
	}
	b := bench{promtool: promtool, rules: rules, blocks: blocks}
	var none mutant
	for _, r := range rules.all() {
		if r.matters() {
			none.users = append(none.users, r.Alert)
		}
	}
	if v, out := b.try(ctx, none); v != survived {
		return fmt.Errorf("the rules as they are fail their tests:\n%s", out)
	}
	every, err := mutants(rules)
	if err != nil {
		return err
	}
	var all []mutant
	for _, m := range every {
		if only == "" || m.rule == only {
			all = append(all, m)
		}
	}
	start := time.Now()
	results := b.tryAll(ctx, all, workers)
	fmt.Printf("%d mutants in %.0f s\n", len(all), time.Since(start).Seconds())
	if err := ctx.Err(); err != nil {
		return err
	}
	return report(all, results, listed, only != "")
}

// report prints what survived, and is an error if that is not the list.
func report(all []mutant, results []verdict, listed map[string]string, partly bool) error {
	var bad []string
	var count [2]int
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
	fmt.Printf("%d killed, %d equivalent or surviving\n", count[killed], count[survived])
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

type verdict int

const (
	killed   verdict = iota // a test failed
	survived                // every test passed
)

// bench tries mutants.
type bench struct {
	promtool string
	rules    file

	mu     sync.Mutex
	blocks []*block // those that noticed something last come first
}

// block is one test of promtool's, as a file of its own.
type block struct {
	text []byte
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
		if i%50 == 0 {
			fmt.Fprintf(os.Stderr, "mutant %d of %d\n", i, len(all))
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// try runs the tests that speak of the mutant's users, over rules that hold it,
// until one of them notices. The others cannot.
func (b *bench) try(ctx context.Context, m mutant) (verdict, string) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return killed, err.Error()
	}
	defer func() { _ = os.RemoveAll(dir) }()
	text, err := yaml.Marshal(m.apply(b.rules))
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "tests"), 0o755), os.WriteFile(filepath.Join(dir, "rules.yml"), text, 0o644))
	}
	if err != nil {
		return killed, err.Error()
	}
	b.mu.Lock()
	blocks := slices.Clone(b.blocks)
	b.mu.Unlock()
	blocks = slices.DeleteFunc(blocks, func(b *block) bool { return !m.spokenOf(string(b.text)) })
	// One by one as long as that is likely to end it, then all the others at once.
	for at, size := 0, 1; at < len(blocks); at += size {
		if at == 2 {
			size = len(blocks) - at
		}
		if out, noticed := b.runs(ctx, dir, blocks[at:at+size]); noticed != nil {
			b.noticed(noticed)
			return killed, out
		}
	}
	return survived, ""
}

// runs is promtool over some blocks; nil if all of them pass.
func (b *bench) runs(ctx context.Context, dir string, blocks []*block) (string, *block) {
	args := []string{"test", "rules"}
	for i, block := range blocks {
		path := filepath.Join(dir, "tests", fmt.Sprintf("%d.yml", i))
		if err := os.WriteFile(path, block.text, 0o644); err != nil {
			return err.Error(), block
		}
		args = append(args, path)
	}
	out, err := exec.CommandContext(ctx, b.promtool, args...).CombinedOutput()
	if err == nil {
		return "", nil
	}
	// Files are named in order before what is wrong with them.
	before, _, _ := strings.Cut(string(out), "FAILED")
	n := strings.Count(before, "Processing test file")
	return string(out) + err.Error(), blocks[min(max(n, 1), len(blocks))-1]
}

// noticed moves a block to the front: mutants that follow each other are alike.
func (b *bench) noticed(one *block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.blocks, one)
	b.blocks = slices.Insert(slices.Delete(b.blocks, i, i+1), 0, one)
}

// readTests takes the files of promtool's tests apart.
func readTests(dir string) ([]*block, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yml"))
	if err != nil {
		return nil, err
	}
	var blocks []*block
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		var f struct {
			RuleFiles          []string    `yaml:"rule_files"`
			EvaluationInterval string      `yaml:"evaluation_interval"`
			Tests              []yaml.Node `yaml:"tests"`
		}
		d := yaml.NewDecoder(bytes.NewReader(b))
		d.KnownFields(true)
		if err := d.Decode(&f); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		all := f.Tests
		for i := range all {
			f.Tests = all[i : i+1]
			text, err := yaml.Marshal(f)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, &block{text})
		}
	}
	return blocks, nil
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
