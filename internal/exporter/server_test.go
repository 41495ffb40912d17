package exporter

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
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

// A request that announces a body and never sends it gets its answer, and loses
// the connection, whoever answers: the exporter, or the toolkit's 401.
func TestUnfinishedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, done := make(pipes), make(chan struct{})
		srv := newServer(start(t, "erp").Handler(), slog.New(slog.DiscardHandler))
		go func() {
			_ = srv.Serve(l) // its error is that the test is over
			close(done)
		}()
		client, server := net.Pipe()
		l <- server
		if _, err := io.WriteString(client, "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(client), nil) // else: every goroutine is blocked
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // it was read to its end
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is still there: %v", err)
		}
		close(l)
		_ = srv.Close()
		<-done
	})
}
