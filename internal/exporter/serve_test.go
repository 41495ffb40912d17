package exporter

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Over a real listener: it says when it is ready, and asked to end it lets a
// scrape under way finish.
func TestServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	t.Setenv("NOTIFY_SOCKET", socket)

	b := start(t, "erp")
	slow := b.fleet.side("erp/source")
	reading1, begun, goOn := reading(slow.opt), make(chan struct{}), make(chan struct{})
	slow.answers = func(context.Context) (*hadr.Reading, error) {
		close(begun)
		<-goOn
		return reading1, nil
	}
	logs, logger := io.Pipe()
	addresses, config, socketActivated := []string{"127.0.0.1:0"}, "", false
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, b.Exporter, &web.FlagConfig{WebListenAddresses: &addresses, WebConfigFile: &config, WebSystemdSocket: &socketActivated},
			slog.New(slog.NewTextHandler(logger, nil)))
		_ = logger.Close()
	}()
	address := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(logs)
		for sc.Scan() {
			if m := regexp.MustCompile(`Listening on.*address=(\S+)`).FindStringSubmatch(sc.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	heard := make([]byte, 64)
	n, err := systemd.Read(heard)
	if err != nil || string(heard[:n]) != "READY=1" {
		t.Fatalf("systemd heard %q, %v", heard[:n], err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	base := "http://" + <-address
	body := make(chan string, 1)
	go func() {
		resp, err := client.Get(base + "/probe?target=erp")
		if err != nil {
			body <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			text = []byte(err.Error())
		}
		body <- string(text)
	}()
	<-begun
	stop()
	if n, err = systemd.Read(heard); err != nil || string(heard[:n]) != "STOPPING=1" {
		t.Fatalf("systemd heard %q, %v", heard[:n], err)
	}
	close(goOn)
	if got := <-body; !strings.Contains(got, `mssql_dag_up{dag="erp",side="source"} 1`) {
		t.Errorf("the scrape under way was answered %s", got)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("does not end")
	}
	if !slow.closed.Load() {
		t.Error("connections are open")
	}
	client.CloseIdleConnections()
}

func TestServeCannotListen(t *testing.T) {
	b := start(t)
	addresses, config := []string{"127.0.0.1:notaport"}, ""
	if err := Serve(t.Context(), b.Exporter, &web.FlagConfig{WebListenAddresses: &addresses, WebConfigFile: &config}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error")
	}
}
