package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Debian's prometheus-sql-exporter is the exporter that people have who write
// their own queries. It gets the same queries: the same columns of the same
// rows, every number a value, every text a label, with NULL written as a
// number since it takes an error for each. It runs its queries by a timer and
// shows what it has, so a scrape of it is counted as one run of its queries
// and one exposition.

// sqlExporterQueries by name: the text, its labels and its values.
func sqlExporterQueries() string {
	const where = "(g.is_distributed = 0 AND g.name IN (N'OnPremAG', N'AzureAG') AND r.is_local = 1) OR (g.is_distributed = 1 AND g.name = N'DAG')"
	var cols []string
	number := func(expr, name string) {
		cols = append(cols, fmt.Sprintf("COALESCE(CONVERT(float, %s), -1) AS %s", expr, name))
	}
	lsns := []string{"last_sent_lsn", "last_received_lsn", "last_hardened_lsn", "last_redone_lsn", "end_of_log_lsn", "last_commit_lsn", "truncation_lsn", "recovery_lsn"}
	counts := []string{"synchronization_state", "synchronization_health", "database_state", "is_suspended", "log_send_queue_size", "log_send_rate", "redo_queue_size", "redo_rate", "secondary_lag_seconds"}
	for _, c := range append(append([]string{}, counts...), lsns...) {
		number("r."+c, c)
	}
	query := func(name, text string, labels, values []string) string {
		return fmt.Sprintf("  - {name: %s, help: %s, allow_zero_rows: true, labels: [%s], values: [%s], query: %s}\n", name, name, strings.Join(labels, ", "), strings.Join(values, ", "), strconv.Quote(text))
	}
	return query("rows", "SELECT g.name AS ag, COALESCE(a.replica_server_name, '') AS replica, CONVERT(varchar(36), r.group_database_id) AS db, "+strings.Join(cols, ", ")+
		" FROM sys.dm_hadr_database_replica_states AS r INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id "+
		"LEFT JOIN sys.availability_replicas AS a ON a.group_id = r.group_id AND a.replica_id = r.replica_id WHERE "+where,
		[]string{"ag", "replica", "db"}, append(append([]string{}, counts...), lsns...)) +
		query("databases", "SELECT c.database_name AS db, CONVERT(varchar(36), c.group_database_id) AS guid, COALESCE(d.log_reuse_wait_desc, '') AS wait, COALESCE(CONVERT(float, d.state), -1) AS state, COALESCE(CONVERT(float, s.is_database_joined), -1) AS joined "+
			"FROM sys.availability_groups AS g INNER JOIN sys.availability_databases_cluster AS c ON c.group_id = g.group_id LEFT JOIN sys.databases AS d ON d.name = c.database_name "+
			"LEFT JOIN sys.dm_hadr_availability_replica_states AS l ON l.group_id = g.group_id AND l.is_local = 1 "+
			"LEFT JOIN sys.dm_hadr_database_replica_cluster_states AS s ON s.group_database_id = c.group_database_id AND s.replica_id = l.replica_id WHERE g.is_distributed = 0",
			[]string{"db", "guid", "wait"}, []string{"state", "joined"}) +
		query("log", "SELECT RTRIM(p.instance_name) AS db, RTRIM(p.counter_name) AS counter, CONVERT(float, p.cntr_value) AS value FROM sys.dm_os_performance_counters AS p "+
			"WHERE p.object_name LIKE N'%:Databases%' AND p.counter_name IN (N'Log File(s) Size (KB)', N'Log File(s) Used Size (KB)', N'Log Bytes Flushed/sec', N'Write Transactions/sec') "+
			"AND p.instance_name IN (SELECT c.database_name FROM sys.availability_databases_cluster AS c)", []string{"db", "counter"}, []string{"value"}) +
		query("members", "SELECT g.name AS ag, r.replica_server_name AS replica, COALESCE(r.endpoint_url, '') AS url, CONVERT(float, r.availability_mode) AS mode, COALESCE(CONVERT(float, s.role), -1) AS role, COALESCE(CONVERT(float, s.connected_state), -1) AS connected "+
			"FROM sys.availability_replicas AS r INNER JOIN sys.availability_groups AS g ON g.group_id = r.group_id LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = r.group_id AND s.replica_id = r.replica_id",
			[]string{"ag", "replica", "url"}, []string{"mode", "role", "connected"})
}

// queriesPerRun is how many batches a run sends, both sides together.
const queriesPerRun = 2 * 4

// sqlExporter is a running one.
type sqlExporter struct {
	*child
	url string
	to  [2]*batchCounter
}

// findSQLExporter is the path of the program; an error says how to get it.
func findSQLExporter() (string, error) {
	path, err := exec.LookPath("prometheus-sql-exporter")
	if err != nil {
		return "", errors.New("prometheus-sql-exporter is not installed: apt-get install prometheus-sql-exporter")
	}
	return path, nil
}

func startSQLExporter(dir, path string, dsns [2]string, interval time.Duration) (*sqlExporter, error) {
	s := &sqlExporter{}
	text := "jobs:\n- name: bench\n  interval: " + interval.String() + "\n  connections:\n"
	for i, dsn := range dsns {
		host := dsn[strings.LastIndex(dsn, "@")+1 : strings.Index(dsn, "?")]
		c, err := countBatches(host)
		if err != nil {
			s.close()
			return nil, err
		}
		s.to[i] = c
		text += "  - " + strconv.Quote(strings.Replace(dsn, host, c.address, 1)) + "\n"
	}
	file := filepath.Join(dir, "sql_exporter.yml")
	if err := os.WriteFile(file, []byte(text+"  queries:\n"+sqlExporterQueries()), 0o600); err != nil {
		s.close()
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		s.close()
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "sql_exporter.log"))
	if err != nil {
		s.close()
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	s.url = "http://" + address + "/metrics"
	if s.child, err = startChild(log, path, "-config.file="+file, "-web.listen-address="+address); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sqlExporter) close() {
	if s.child != nil {
		s.stop()
	}
	for _, c := range s.to {
		if c != nil {
			c.close()
		}
	}
}

func (s *sqlExporter) batches() int64 { return s.to[0].batches.Load() + s.to[1].batches.Load() }

// run waits for one more run of the queries, and scrapes.
func (s *sqlExporter) run() (string, error) {
	end := time.Now().Add(30 * time.Second)
	for want := (s.batches()/queriesPerRun + 1) * queriesPerRun; s.batches() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return "", errors.New("prometheus-sql-exporter does not run its queries")
		}
	}
	return fetch(s.url)
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

func fetch(url string) (string, error) {
	r, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }() // read to its end
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: HTTP %d: %.200s", url, r.StatusCode, b)
	}
	return string(b), err
}

// untilUp waits until a program answers with a text that holds want.
func untilUp(url, want string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, err := fetch(url)
		if err == nil && strings.Contains(text, want) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not come up: %w", url, errors.Join(err, errors.New("no "+want)))
		}
	}
}

// valueOf is a sample without labels.
func valueOf(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, errors.New("no sample " + name)
}

// seriesIn counts the samples of a text whose name has the prefix.
func seriesIn(text, prefix string) (n int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// batchCounter is a TCP proxy that counts SQL batches: the last packets of
// messages of type 1, which a connection without TLS shows.
type batchCounter struct {
	address string
	batches atomic.Int64
	ln      net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	all     sync.WaitGroup
}

func countBatches(to string) (*batchCounter, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &batchCounter{address: ln.Addr().String(), ln: ln}
	p.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, up)
			p.mu.Unlock()
			p.all.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
			p.all.Go(func() { p.pump(up, c); _ = up.Close() })
		}
	})
	return p, nil
}

func (p *batchCounter) pump(up io.Writer, c io.Reader) {
	head := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		body := make([]byte, max(0, int(binary.BigEndian.Uint16(head[2:]))-8))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		if head[1]&1 != 0 && (head[0] == 1 || head[0] == 3) {
			p.batches.Add(1)
		}
		if _, err := up.Write(append(head, body...)); err != nil {
			return
		}
	}
}

func (p *batchCounter) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}
