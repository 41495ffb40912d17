package sqlserver

import (
	"strings"
	"sync"
)

// Lines keeps a process at one statement of a reading outstanding per server,
// whoever asks: availability groups that are sick make their DMVs hang, and
// every connection that joins the queue makes it worse. The zero Lines is
// ready. A server is known by the host and port, or instance, that a DSN names;
// a listener and the node behind it are two.
type Lines struct {
	mu sync.Mutex
	m  map[string]*line
}

// of is the line of a server. Lines are kept: a process meets few servers.
func (l *Lines) of(label string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := strings.ToLower(label)
	if l.m[key] == nil {
		if l.m == nil {
			l.m = map[string]*line{}
		}
		l.m[key] = &line{}
	}
	return l.m[key]
}
