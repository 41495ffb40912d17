package webhook

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that deadlines run on the
// test's own clock.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

// serve serves h on pipes until the test ends; the function connects.
func serve(t *testing.T, h http.Handler) func() net.Conn {
	l := make(pipes)
	srv := NewServer(h, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		_ = srv.Serve(l) // its error is that the test is over
		close(done)
	}()
	t.Cleanup(func() {
		close(l)
		_ = srv.Close()
		<-done
	})
	return func() net.Conn {
		client, server := net.Pipe()
		l <- server
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// A request that never comes to its end gets its answer, and loses the
// connection: with credentials, without, and where nobody reads the body.
func TestUnfinishedRequests(t *testing.T) {
	basic := func(user string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+user+"-pw")) + "\r\n"
	}
	door := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // the toolkit's, for nobody
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	})
	for name, tc := range map[string]struct {
		request string // the headers; 1000 bytes are promised, and never come
		door    bool
		want    int
	}{
		"stopped at the outer door":   {"POST /api/v1/alerts HTTP/1.1\r\n", true, 401},
		"nobody":                      {"POST /api/v1/alerts HTTP/1.1\r\n", false, 401},
		"no role":                     {"POST /api/v1/alerts HTTP/1.1\r\n" + basic("watch"), false, 403},
		"a notification":              {"POST /api/v1/alerts HTTP/1.1\r\nContent-Type: application/json\r\n" + basic("am"), false, 400},
		"an act":                      {"POST /api/v1/dags/erp/hold HTTP/1.1\r\nContent-Type: application/json\r\n" + basic("ops"), false, 400},
		"a body that nobody asks for": {"GET /api/v1/dags HTTP/1.1\r\n" + basic("watch"), false, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h http.Handler = newWorld(t, "execute")
				if tc.door {
					h = door
				}
				c := serve(t, h)()
				if _, err := io.WriteString(c, tc.request+"Host: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(c), nil) // else: every goroutine is blocked
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close() // it was read to its end
				if res.StatusCode != tc.want {
					t.Errorf("answer %d, want %d", res.StatusCode, tc.want)
				}
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the connection is still there: %v", err)
				}
			})
		})
	}
}

// The bound on requests is none on answers: a stream outlives it.
func TestStreamOutlivesTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "dry_run")
		c := serve(t, w)()
		auth := base64.StdEncoding.EncodeToString([]byte("watch:watch-pw"))
		if _, err := io.WriteString(c, "GET /api/v1/dags/erp/events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "+auth+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		lines, alive := bufio.NewScanner(res.Body), 0
		for began := time.Now(); time.Since(began) < 10*requestTimeout; {
			if !lines.Scan() {
				t.Fatalf("the stream ended after %s: %v", time.Since(began), lines.Err())
			}
			if strings.HasPrefix(lines.Text(), ": alive") {
				alive++
			}
		}
		if alive == 0 {
			t.Error("nothing came")
		}
		w.Close()
	})
}
