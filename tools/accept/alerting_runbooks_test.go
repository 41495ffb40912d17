//go:build accept

package accept

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/alerts"
	"github.com/dag-exporter/dag_exporter/internal/lab/alter"
)

// unmodelled are statements of runbooks that the lab does not speak, by their
// first words, from Microsoft's documentation of them.
var unmodelled = []string{"BACKUP DATABASE [", "BACKUP CERTIFICATE ", "CREATE CERTIFICATE ", "ALTER ENDPOINT [", "ALTER DATABASE [db001] MODIFY FILE (", "ALTER DATABASE [db001] ADD LOG FILE ("}

// seldom are views that are rightly empty on a healthy lab.
var seldom = regexp.MustCompile(`sys\.dm_exec_requests|sys\.dm_hadr_automatic_seeding|sys\.certificates`)

// TestRunbookStatements types every statement of every runbook, as somebody would
// at 3 a.m.: each SELECT answers on both sides and finds something, and each ALTER
// is one that the server parses.
func TestRunbookStatements(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := startLab(t, dir, "--databases=1")
	sides := map[string]*sql.DB{}
	for side, addr := range map[string]string{"source": l.Source, "target": l.Target} {
		db, err := sql.Open("sqlserver", l.dsn(addr, "master"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		sides[side] = db
	}
	if err := parses("ALTER AVAILABILITY GROUP [DAG] SET (ROLE = SECONDERY);"); err == nil {
		t.Fatal("a misspelled statement parses: this test would find nothing")
	}
	books, err := filepath.Glob(filepath.Join(root(t), "alerts", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	selects, alters := 0, 0
	for _, path := range books {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		text, ok := alerts.Runbook(name)
		if !ok {
			t.Errorf("%s is not embedded", name)
		}
		for _, block := range statements(string(text)) {
			for _, batch := range batches(block) {
				switch {
				case strings.HasPrefix(batch, "SELECT") || strings.HasPrefix(batch, "USE"):
					selects++
					rows := 0
					for side, db := range sides {
						n, err := answer(db, batch)
						if err != nil {
							t.Errorf("%s, on the %s: %v\n%s", name, side, err, batch)
						}
						rows += n
					}
					if rows == 0 && !seldom.MatchString(batch) {
						t.Errorf("%s: this finds nothing on either side\n%s", name, batch)
					}
				case hasPrefix(batch, unmodelled):
					alters++
				default:
					alters++
					if err := parses(batch); err != nil {
						t.Errorf("%s: %v\n%s", name, err, batch)
					}
				}
			}
		}
	}
	if selects < 30 || alters < 25 {
		t.Errorf("%d SELECTs and %d other statements were found: the way they are looked for is wrong", selects, alters)
	}
	t.Logf("%d SELECTs, %d other statements of %d runbooks", selects, alters, len(books))
}

var (
	fenced = regexp.MustCompile("(?s)```sql\n(.*?)```")
	inline = regexp.MustCompile("`((?:SELECT|ALTER|DROP|BACKUP) [^`]*;)`")
)

// statements are the T-SQL of a runbook, in fences and in running text, for a
// database that the lab has.
func statements(text string) (out []string) {
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, m[1])
	}
	for i := range out {
		out[i] = strings.NewReplacer("[db]", "[db001]", "N'db'", "N'db001'").Replace(out[i])
	}
	return out
}

// batches are a block's statements; what only looks goes together, since USE
// counts for what follows.
func batches(block string) (out []string) {
	var looks []string
	for s := range strings.SplitSeq(regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(block, ""), ";") {
		s = strings.TrimSpace(s)
		switch {
		case s == "":
		case strings.HasPrefix(s, "SELECT") || strings.HasPrefix(s, "USE"):
			looks = append(looks, s+";")
		default:
			out = append(out, s+";")
		}
	}
	if looks != nil {
		out = append(out, strings.Join(looks, "\n"))
	}
	return out
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// answer counts the rows of a batch's first result and reads the others to their
// end. Each has columns with names.
func answer(db *sql.DB, batch string) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rows, err := db.QueryContext(ctx, batch)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for first := true; ; first = false {
		columns, err := rows.Columns()
		if err != nil {
			return n, err
		}
		for _, c := range columns {
			if c == "" {
				return n, fmt.Errorf("a column without a name among %v", columns)
			}
		}
		for rows.Next() {
			if first {
				n++
			}
		}
		if !rows.NextResultSet() {
			return n, rows.Err()
		}
	}
}

// parses asks the lab's strict parser for what changes availability groups: what
// it does not know is an error, as on a server.
func parses(statement string) error {
	parsed, err := alter.Parse(statement)
	if err != nil {
		return err
	}
	if parsed == nil {
		return errors.New("it is not a statement about an availability group")
	}
	return nil
}
