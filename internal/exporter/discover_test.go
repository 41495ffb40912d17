package exporter

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

const (
	refused1 = "sqlserver://sa:hunter2@127.0.0.1:1?encrypt=disable" // nothing listens on port 1
	refused2 = "sqlserver://sa:hunter2@127.0.0.1:2?encrypt=disable"
)

// What was typed is an argument: its errors speak of that, and are told from
// those of a server.
func TestDiscoverArguments(t *testing.T) {
	for _, c := range []struct{ source, target, want string }{
		{"hunter2", refused2, "source: a DSN must be a URL of the form sqlserver://user:password@host:1433?encrypt=strict"},
		{refused1, "sqlserver://sa:${DAG_TEST_UNSET}@b?encrypt=true", "target: the environment variable DAG_TEST_UNSET is not set: set it for this process, or use dsn_file"},
		{refused1, refused1, "target: localhost:1 is also an instance of the source: source and target must be different instances"},
		{"", "file:/nowhere/dsns", "source: the DSN is empty: write sqlserver://user:password@host:1433?encrypt=strict\ntarget: dsn_file /nowhere/dsns cannot be read: no such file or directory"},
	} {
		_, err := Discover(context.Background(), DiscoverOptions{Source: c.source, Target: c.target})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %s:\n%v\nwant\n%s", c.source, c.target, err, c.want)
		}
		if wrong := (*config.Error)(nil); !errors.As(err, &wrong) {
			t.Errorf("%s %s: no *config.Error", c.source, c.target)
		}
	}
}

// Both sides that do not answer are told, not the first alone.
func TestDiscoverTellsBothSides(t *testing.T) {
	_, err := Discover(context.Background(), DiscoverOptions{Source: refused1, Target: refused2})
	if err == nil {
		t.Fatal("found something")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "source: 127.0.0.1:1: ") || !strings.HasPrefix(lines[1], "target: 127.0.0.1:2: ") {
		t.Errorf("%v", err)
	}
	if wrong := (*config.Error)(nil); errors.As(err, &wrong) {
		t.Errorf("a server that does not answer is no wrong argument: %v", err)
	}
}
