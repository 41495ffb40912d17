//go:build accept

package accept

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/microsoft/go-mssqldb" // one of the two clients that nobody here wrote
)

// guideScript is the migration guide's own, word for word.
const guideScript = `SELECT ag.name, drs.database_id, db_name(drs.database_id) as database_name, drs.group_id, drs.replica_id, drs.synchronization_state_desc, drs.last_hardened_lsn
FROM sys.dm_hadr_database_replica_states drs INNER JOIN sys.availability_groups ag on drs.group_id = ag.group_id;
`

// TestGuideScript runs it on both sides through FreeTDS and through
// go-mssqldb: the same rows, and LSNs of 25 digits exact.
func TestGuideScript(t *testing.T) {
	dir := t.TempDir()
	l := startLab(t, dir, guideLabFlags...)
	for side, addr := range map[string]string{"source": l.Source, "target": l.Target} {
		t.Run(side, func(t *testing.T) {
			driver := throughDriver(t, l.dsn(addr, "master"))
			freetds := throughFreeTDS(t, dir, addr)
			if !slices.Equal(driver, freetds) {
				t.Errorf("go-mssqldb\n%s\nFreeTDS\n%s", strings.Join(driver, "\n"), strings.Join(freetds, "\n"))
			}
			want := map[string]int{"source": 4, "target": 2}[side] // own rows, and on the global primary the link's
			if len(driver) != want {
				t.Errorf("%d rows, want %d:\n%s", len(driver), want, strings.Join(driver, "\n"))
			}
			exact := regexp.MustCompile(`\|[1-9][0-9]{24}$`)
			for _, row := range driver {
				if !exact.MatchString(row) {
					t.Errorf("no LSN of 25 digits in %s", row)
				}
			}
		})
	}
}

// guideLabFlags: two databases at rest whose VLF numbers have ten digits.
var guideLabFlags = []string{"--databases=2", "--log.start-vlf=4200000000", "--background=0", "--dag-commit=sync"}

func throughDriver(t *testing.T, dsn string) (lines []string) {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), guideScript)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, database, state, lsn string
		var id int
		var group, replica [16]byte
		var g, r []byte
		if err := rows.Scan(&name, &id, &database, &g, &r, &state, &lsn); err != nil {
			t.Fatal(err)
		}
		copy(group[:], g)
		copy(replica[:], r)
		lines = append(lines, fmt.Sprintf("%s|%d|%s|%s|%s|%s|%s", name, id, database, guid(group), guid(replica), state, lsn))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// guid prints the mixed-endian bytes that the driver hands out.
func guid(b [16]byte) string {
	return fmt.Sprintf("%02X%02X%02X%02X-%02X%02X-%02X%02X-%X-%X", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:])
}

func throughFreeTDS(t *testing.T, dir, addr string) (lines []string) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	conf := filepath.Join(dir, "freetds.conf")
	text := fmt.Sprintf("[lab]\nhost = %s\nport = %s\ntds version = 7.4\nencryption = require\nclient charset = UTF-8\n", host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tsql", "-S", "lab", "-U", "sa", "-P", password, "-o", "fhq", "-t", "|")
	cmd.Env = append(os.Environ(), "FREETDSCONF="+conf)
	cmd.Stdin = strings.NewReader(guideScript + "go\nexit\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tsql: %v\n%s", err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Count(line, "|") == 6 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
