// Command preview shows the dashboards as they look when they are needed: it
// fills a real Prometheus with what the real exporter and the real engine say
// about the lab, story by story, lets dashboards/preview draw the dashboards
// from it in Chromium, and checks what is to be seen. The pictures are in
// artifacts/preview. It is a preview, not Grafana.
//
//	go -C tools run ./preview -root ..
//
// With -hold nothing is drawn and the Prometheuses stay: -again draws the same
// moments, in seconds, after each change of the dashboards.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	os.Exit(run())
}

func run() int {
	root := flag.String("root", "..", "the repository")
	chromium := flag.String("chromium", "chromium", "the browser")
	only := flag.String("run", "", "a regular expression: only these stories")
	facts := flag.Bool("facts", false, "write down what was seen, too")
	hold := flag.Bool("hold", false, "draw nothing, leave the Prometheuses running until interrupted")
	again := flag.Bool("again", false, "draw what a run with -hold has")
	flag.Parse()
	preview := filepath.Join(*root, "dashboards", "preview")
	if err := needs(preview, *chromium); err != nil {
		fmt.Fprintln(os.Stderr, "preview:", err)
		return 1
	}
	out, err := filepath.Abs(filepath.Join(*root, "artifacts", "preview"))
	if err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	var rules []rule
	if err == nil {
		rules, err = readRules(filepath.Join(*root, "alerts", "rules.yml"))
	}
	var b *browser
	if err == nil && !*hold {
		b, err = startBrowser(preview, *chromium, filepath.Join(*root, "dashboards"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "preview:", err)
		return 1
	}
	s := &studio{browser: b, rules: rules, out: out, facts: *facts, hold: *hold}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pattern := regexp.MustCompile(*only)
	start := time.Now()
	if *again {
		s.again(pattern)
	} else {
		s.tellAll(ctx, pattern)
	}
	if b != nil {
		if err := b.close(); err != nil {
			s.say("browser", err.Error())
		}
	}
	fmt.Printf("%d pictures in %s, %.0f s; %d passed, %d failed\n", s.pictures, out, time.Since(start).Seconds(), s.pictures-len(s.failed), len(s.failed))
	if *hold {
		s.keep(ctx)
	}
	if len(s.failed) > 0 || s.pictures == 0 && !*hold {
		return 1
	}
	return 0
}

// studio draws and judges.
type studio struct {
	browser *browser
	rules   []rule
	out     string
	facts   bool
	hold    bool

	mu       sync.Mutex
	held     []held
	running  []*promServer
	pictures int
	failed   map[string]bool
}

// say tells a finding about a picture.
func (s *studio) say(picture, finding string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = map[string]bool{}
	}
	s.failed[picture] = true
	fmt.Printf("%s: %s\n", picture, finding)
}

// held is a moment that can be drawn again.
type held struct {
	URL, Name string
	At        time.Time
}

func (s *studio) tellAll(ctx context.Context, pattern *regexp.Regexp) {
	var wg sync.WaitGroup
	turn := make(chan struct{}, 2)
	for _, it := range stories() {
		if !pattern.MatchString(it.name) {
			continue
		}
		wg.Go(func() {
			// The one that mostly waits does not take a turn.
			if it.name != "cutover" {
				turn <- struct{}{}
				defer func() { <-turn }()
			}
			if err := s.tell(ctx, it); err != nil {
				s.say(it.name, fmt.Sprint(err))
			}
		})
	}
	wg.Wait()
}

func (s *studio) worlds() string { return filepath.Join(s.out, "held.json") }

// keep leaves everything as it is until it is told to end.
func (s *studio) keep(ctx context.Context) {
	fmt.Println("holding; draw again with -again")
	<-ctx.Done()
	for _, p := range s.running {
		p.close()
	}
	_ = os.Remove(s.worlds())
}

// write tells -again what there is.
func (s *studio) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(s.held)
	if err == nil {
		err = os.WriteFile(s.worlds(), b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "preview:", err)
	}
}

// again draws what is held.
func (s *studio) again(pattern *regexp.Regexp) {
	var list []held
	b, err := os.ReadFile(s.worlds())
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		s.say("held", err.Error())
		return
	}
	var wg sync.WaitGroup
	turn := make(chan struct{}, 3)
	for _, h := range list {
		for _, v := range views(moment{h.Name, h.At}) {
			if !pattern.MatchString(v.name + "-" + v.dashboard) {
				continue
			}
			turn <- struct{}{}
			wg.Go(func() {
				defer func() { <-turn }()
				s.look(h.URL, v)
			})
		}
	}
	wg.Wait()
}

// view is one dashboard at a moment.
type view struct {
	moment
	dashboard string
	back      time.Duration // the time range
}

func views(m moment) []view {
	var out []view
	for _, dashboard := range []string{"dag-fleet", "dag-migration", "dag-cutover"} {
		out = append(out, view{m, dashboard, 15 * time.Minute})
	}
	if m.name == "healthy" {
		out = append(out, view{moment{"healthy, a day", m.at}, "dag-fleet", 24 * time.Hour})
	}
	return out
}

// tell lives through one story and looks at its moments.
func (s *studio) tell(ctx context.Context, it story) error {
	start := time.Now()
	w, err := newWorld(ctx, history, it.dags...)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.fleet.Start(ctx); err != nil {
		return err
	}
	var moments []moment
	if err := it.live(ctx, w, func(name string) {
		moments = append(moments, moment{name, w.scraped})
	}); err != nil {
		return err
	}
	w.clock.hold()
	lived := time.Since(start)
	p, err := startPrometheus(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.running = append(s.running, p)
	s.mu.Unlock()
	if !s.hold {
		defer p.close()
	}
	if err := w.store.push(ctx, p.url); err != nil {
		return err
	}
	if err := p.evaluate(ctx, s.rules, w.begin.Add(step), int(w.scraped.Sub(w.begin)/step)); err != nil {
		return err
	}
	filled := time.Since(start) - lived
	var wg sync.WaitGroup
	for _, m := range moments {
		s.mu.Lock()
		s.held = append(s.held, held{p.url, m.name, m.at})
		s.mu.Unlock()
		if s.hold {
			s.write()
			continue
		}
		for _, v := range views(m) {
			wg.Go(func() { s.look(p.url, v) })
		}
	}
	wg.Wait()
	fmt.Printf("story %s: lived in %.0f s, rules and samples in %.0f s, seen in %.0f s\n", it.name, lived.Seconds(), filled.Seconds(), (time.Since(start) - lived - filled).Seconds())
	return nil
}

func (s *studio) look(url string, m view) {
	name := strings.NewReplacer(", ", "-", " ", "-").Replace(m.name) + "-" + strings.TrimPrefix(m.dashboard, "dag-")
	variables := map[string]string{"dag": hero}
	if m.dashboard == "dag-fleet" {
		variables = nil
	}
	seen, err := s.browser.draw(job{
		Dashboard: m.dashboard, Prometheus: url, Now: strconv.FormatInt(m.at.Add(2*time.Second).Unix(), 10), Range: strconv.Itoa(int(m.back.Seconds())), Variables: variables, File: filepath.Join(s.out, name),
	})
	if err != nil {
		s.say(name, err.Error())
		return
	}
	s.mu.Lock()
	s.pictures += len(seen)
	s.mu.Unlock()
	for how, f := range seen {
		if s.facts {
			if b, err := json.MarshalIndent(f, "", " "); err == nil {
				_ = os.WriteFile(filepath.Join(s.out, name+"-"+how+".json"), b, 0o600)
			}
		}
		for _, finding := range judge(f, m.name, m.dashboard, how) {
			s.say(name+"-"+how, finding)
		}
	}
}
