package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// The page's own words for what is to be seen, as dashboards/preview/src/facts.ts gives them.
type (
	facts struct {
		Problems []string
		Panels   []panelFacts
		Warning  string
		Page     struct{ Width, Window int }
	}
	panelFacts struct {
		ID                   int
		Title, Type          string
		Errors, Silent, Idle []string
		Box                  [4]int
		Empty                string
		Values               []struct {
			Text, Title, Color string
			Size               float64
			Outside            bool
		}
		Rows []struct {
			Name   string
			Height float64
			Spans  []struct {
				Text, Color string
				Seconds     float64
			}
		}
		Cells  [][]struct{ Text, Color string }
		Legend []string
		Series int
		Plot   *struct{ Height, Ink int }

		Clipped, Scrolls []string
		Text             string
	}
)

// job is one dashboard at one moment; it is drawn in both themes and widths.
type job struct {
	Dashboard  string            `json:"dashboard"`
	Prometheus string            `json:"prometheus"`
	Now        string            `json:"now"`
	Range      string            `json:"range"`
	Variables  map[string]string `json:"variables"`
	File       string            `json:"file"`
}

// browser is a running dashboards/preview/shoot.mjs.
type browser struct {
	child   *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex
	waiting map[string]chan map[string]json.RawMessage
	ended   chan struct{}
}

// needs tells what the drawing needs and this machine lacks.
func needs(preview, chromium string) error {
	const note = "the dashboards cannot be drawn; nothing was checked"
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("node 20 or later is needed: %w; %s", err, note)
	}
	version := strings.TrimSpace(string(out))
	major, err := strconv.Atoi(strings.Split(strings.TrimPrefix(version, "v"), ".")[0])
	if err != nil || major < 20 {
		return fmt.Errorf("node 20 or later is needed, here is %s; %s", version, note)
	}
	if _, err := exec.LookPath(chromium); err != nil {
		return fmt.Errorf("chromium is needed: %w; %s", err, note)
	}
	for _, path := range []string{"node_modules/playwright-core", "dist/index.html"} {
		if _, err := os.Stat(filepath.Join(preview, path)); err != nil {
			return fmt.Errorf("%w; in dashboards/preview run: npm ci --ignore-scripts && npm run build; %s", err, note)
		}
	}
	return nil
}

func startBrowser(preview, chromium, dashboards string) (*browser, error) {
	path, err := exec.LookPath(chromium)
	if err != nil {
		return nil, err
	}
	b := &browser{
		child:   exec.Command("node", filepath.Join(preview, "shoot.mjs"), path, dashboards),
		waiting: map[string]chan map[string]json.RawMessage{}, ended: make(chan struct{}),
	}
	b.child.Stderr = os.Stderr
	if b.in, err = b.child.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.child.Start(); err != nil {
		return nil, err
	}
	go b.read(out)
	return b, nil
}

func (b *browser) read(out io.Reader) {
	defer close(b.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var answer map[string]json.RawMessage
		var file string
		if json.Unmarshal(lines.Bytes(), &answer) != nil || json.Unmarshal(answer["file"], &file) != nil {
			continue // the one who waits for it is told that the browser ended
		}
		b.mu.Lock()
		if c := b.waiting[file]; c != nil {
			c <- answer
		}
		b.mu.Unlock()
	}
}

// draw gives what is to be seen by "theme-width".
func (b *browser) draw(j job) (map[string]facts, error) {
	line, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	c := make(chan map[string]json.RawMessage, 1)
	b.mu.Lock()
	b.waiting[j.File] = c
	_, err = b.in.Write(append(line, '\n'))
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-b.ended:
		return nil, errors.New("the browser ended")
	case answer := <-c:
		if text, ok := answer["error"]; ok {
			return nil, fmt.Errorf("%s: %s", j.File, text)
		}
		delete(answer, "file")
		out := map[string]facts{}
		for name, raw := range answer {
			var f facts
			if err := json.Unmarshal(raw, &f); err != nil {
				return nil, err
			}
			out[name] = f
		}
		return out, nil
	}
}

func (b *browser) close() error {
	return errors.Join(b.in.Close(), b.child.Wait())
}
