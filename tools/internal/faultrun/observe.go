package faultrun

import (
	"fmt"
	"sync"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// observer samples the true roles of both sides every few milliseconds.
type observer struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	samples int
	split   string // when both were PRIMARY; "" is never
	seen    [2]model.Role
	history []string
}

const sampleEvery = 4 * time.Millisecond

func newObserver(l *lab.Lab) *observer {
	o := &observer{stop: make(chan struct{})}
	began := time.Now()
	o.wg.Go(func() {
		t := time.NewTicker(sampleEvery)
		defer t.Stop()
		for {
			select {
			case <-o.stop:
				return
			case <-t.C:
			}
			roles, err := l.Control().Roles()
			if err != nil {
				return // the lab has ended
			}
			o.mu.Lock()
			o.samples++
			if roles != o.seen || o.samples == 1 {
				o.history = append(o.history, fmt.Sprintf("%s %s/%s", time.Since(began).Round(time.Millisecond), roles[lab.Source], roles[lab.Target]))
				o.seen = roles
			}
			if o.split == "" && roles == [2]model.Role{model.Primary, model.Primary} {
				o.split = "both sides were PRIMARY " + time.Since(began).Round(time.Millisecond).String() + " after the start"
			}
			o.mu.Unlock()
		}
	})
	return o
}

func (o *observer) end() (samples int, split string, history []string) {
	close(o.stop)
	o.wg.Wait()
	return o.samples, o.split, o.history
}
