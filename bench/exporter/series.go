package main

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// sample is one series of the floor, label values in the order of its family.
type emit func(f *family, v float64, labels ...string)

type family struct {
	name, help string
	counter    bool
	labels     []string
	desc       *prometheus.Desc
}

var families []*family

func fam(name string, counter bool, labels ...string) *family {
	f := &family{name: "mssql_dag_" + name, help: "The same series as dag_exporter's, by the shortest way.", counter: counter, labels: labels}
	f.desc = prometheus.NewDesc(f.name, f.help, labels, nil)
	families = append(families, f)
	return f
}

var (
	fUp       = fam("up", false, "dag", "side")
	fError    = fam("scrape_error", false, "dag", "side", "reason")
	fState    = fam("convergence_state", false, "dag", "state")
	fReached  = fam("convergence_reached", false, "dag", "level")
	fDir      = fam("direction", false, "dag", "direction")
	fAt       = fam("reading_timestamp_seconds", false, "dag", "side")
	fSkew     = fam("read_skew_seconds", false, "dag")
	fDuration = fam("scrape_duration_seconds", false, "dag", "side")
	fInfo     = fam("instance_info", false, "dag", "side", "server", "version", "edition", "platform")
	fRole     = fam("role", false, "dag", "side", "role")
	fLink     = fam("link_connected", false, "dag")
	fMode     = fam("availability_mode", false, "dag", "side", "member", "mode")
	fRequired = fam("required_synchronized_secondaries", false, "dag", "side")
	fOffset   = fam("clock_offset_seconds", false, "dag", "side")
	fExpiry   = fam("endpoint_certificate_expiry_timestamp_seconds", false, "dag", "side")

	fDBReached = fam("database_convergence_reached", false, "dag", "database", "level")
	fSync      = fam("database_synchronization_state", false, "dag", "side", "availability_group", "replica", "database", "state")
	fSuspended = fam("database_suspended", false, "dag", "side", "availability_group", "replica", "database")
	fVLF       = fam("database_lsn_vlf", false, "dag", "side", "database", "lsn")
	fBlock     = fam("database_lsn_block", false, "dag", "side", "database", "lsn")
	fDelta     = fam("database_lsn_delta", false, "dag", "database", "lsn")
	fVLFs      = fam("database_lsn_delta_vlfs", false, "dag", "database", "lsn")
	fBlocks    = fam("database_lsn_delta_blocks", false, "dag", "database", "lsn")
	fSendQueue = fam("database_log_send_queue_bytes", false, "dag", "database")
	fRedoQueue = fam("database_redo_queue_bytes", false, "dag", "database")
	fSendRate  = fam("database_log_send_rate_bytes_per_second", false, "dag", "database")
	fRedoRate  = fam("database_redo_rate_bytes_per_second", false, "dag", "database")
	fLag       = fam("database_secondary_lag_seconds", false, "dag", "database")
	fCommitLag = fam("database_commit_lag_seconds", false, "dag", "database")
	fUsed      = fam("database_log_used_bytes", false, "dag", "side", "database")
	fSize      = fam("database_log_size_bytes", false, "dag", "side", "database")
	fHeld      = fam("database_log_held_by_replica", false, "dag", "side", "database")
	fFlushed   = fam("database_log_flushed_bytes_total", true, "dag", "side", "database")
	fWrites    = fam("database_write_transactions_total", true, "dag", "side", "database")
)

var (
	reasonNames = []string{"none", "busy", "timeout", "refused", "login", "tls", "permission", "no_primary", "no_dag", "hadr_off", "version", "identity", "duplicate", "query"}
	stateNames  = []string{"unknown", "behind", "near", "caught_up", "synchronized", "demoted", "failed_over", "split", "diverged"}
	levelNames  = []string{"known", "near", "caught_up", "synchronized"}
	directions  = []string{"source_to_target", "target_to_source", "none", "both"}
	roleNames   = []string{"resolving", "primary", "secondary"}
	modeNames   = []string{"asynchronous_commit", "synchronous_commit"}
	syncNames   = []string{"not_synchronizing", "synchronizing", "synchronized", "reverting", "initializing"}
)

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// samples tells every series of what was read, each once.
func (f *floor) samples(p *floorPair, out emit) {
	worst := len(levelNames)
	for i, d := range p.side[0].databases {
		level := f.database(p, d, p.side[1].databases[i], out)
		worst = min(worst, level)
	}
	for i := range p.side {
		f.side(&p.side[i], i, out)
	}
	for i, s := range stateNames {
		out(fState, one(i == worst), floorDAG, s)
	}
	for i, l := range levelNames {
		out(fReached, one(i < worst), floorDAG, l)
	}
	for i, d := range directions {
		out(fDir, one(i == 0), floorDAG, d)
	}
	first, last := p.side[0].began, p.side[0].ended
	if p.side[1].began.Before(first) {
		first = p.side[1].began
	}
	if p.side[1].ended.After(last) {
		last = p.side[1].ended
	}
	out(fSkew, last.Sub(first).Seconds(), floorDAG)
	for _, m := range p.side[0].members {
		if !m.local {
			out(fLink, one(m.connected == 1), floorDAG)
		}
	}
}

func (f *floor) side(s *floorSide, i int, out emit) {
	side := sideNames[i]
	out(fUp, 1, floorDAG, side)
	for _, r := range reasonNames {
		out(fError, one(r == "none"), floorDAG, side, r)
	}
	out(fAt, float64(s.began.UnixNano())/1e9, floorDAG, side)
	out(fDuration, s.ended.Sub(s.began).Seconds(), floorDAG, side)
	out(fInfo, 1, floorDAG, side, s.server, f.version[i], f.edition[i], f.platform[i])
	for _, m := range s.members {
		if m.local {
			for n, role := range roleNames {
				out(fRole, one(m.role == int64(n)), floorDAG, side, role)
			}
		}
		for n, mode := range modeNames {
			out(fMode, one(m.mode == int64(n)), floorDAG, side, m.name, mode)
		}
	}
	out(fRequired, float64(s.required), floorDAG, side)
	out(fOffset, s.utc.Sub(s.began.Add(s.ended.Sub(s.began)/2)).Seconds(), floorDAG, side)
	out(fExpiry, float64(s.expiry.Unix()), floorDAG, side)
}

// database tells one database's series and the level that it has reached.
func (f *floor) database(p *floorPair, s, t *floorDatabase, out emit) (level int) {
	link := s.link
	level = 1
	if link.sendQueue.Int64*1024 <= 64<<20 && link.redoQueue.Int64*1024 <= 256<<20 {
		level = 2
		if less(s.own.end, t.own.hardened) {
			level = 3
			if link.sync == 2 && p.side[0].members[0].mode == 1 && p.side[0].members[1].mode == 1 && p.side[1].members[0].mode == 1 && p.side[1].members[1].mode == 1 {
				level = 4
			}
		}
	}
	for n, l := range levelNames {
		out(fDBReached, one(n < level), floorDAG, s.name, l)
	}
	for i, d := range []*floorDatabase{s, t} {
		row(sideNames[i], agNames[i], s.name, d.own, out)
		out(fVLF, float64(d.own.hVLF), floorDAG, sideNames[i], s.name, "last_hardened")
		out(fBlock, float64(d.own.hBlock), floorDAG, sideNames[i], s.name, "last_hardened")
		out(fVLF, float64(d.own.endVLF), floorDAG, sideNames[i], s.name, "end_of_log")
		out(fBlock, float64(d.own.endBlock), floorDAG, sideNames[i], s.name, "end_of_log")
		out(fFlushed, float64(d.flushed), floorDAG, sideNames[i], s.name)
		out(fWrites, float64(d.writes), floorDAG, sideNames[i], s.name)
	}
	row(sideNames[0], "DAG", s.name, link, out)
	delta(s.name, "last_hardened", s.own.hVLF, s.own.hBlock, t.own.hVLF, t.own.hBlock, out)
	delta(s.name, "end_of_log", s.own.endVLF, s.own.endBlock, t.own.endVLF, t.own.endBlock, out)
	out(fCommitLag, s.own.commit.Sub(t.own.commit).Seconds(), floorDAG, s.name)
	if link.redoQueue.Valid {
		out(fRedoQueue, float64(link.redoQueue.Int64*1024), floorDAG, s.name)
	}
	if link.sendQueue.Valid {
		out(fSendQueue, float64(link.sendQueue.Int64*1024), floorDAG, s.name)
	}
	if link.sendRate.Valid {
		out(fSendRate, float64(link.sendRate.Int64*1024), floorDAG, s.name)
	}
	if link.redoRate.Valid {
		out(fRedoRate, float64(link.redoRate.Int64*1024), floorDAG, s.name)
	}
	if link.lag.Valid {
		out(fLag, float64(link.lag.Int64), floorDAG, s.name)
	}
	out(fUsed, float64(s.used), floorDAG, sideNames[0], s.name)
	out(fSize, float64(s.size), floorDAG, sideNames[0], s.name)
	out(fHeld, one(s.reuseWait == "AVAILABILITY_REPLICA"), floorDAG, sideNames[0], s.name)
	return level
}

// less compares two LSNs without leading zeros.
func less(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

func row(side, group, db string, r *floorRow, out emit) {
	for n, s := range syncNames {
		out(fSync, one(r.sync == int64(n)), floorDAG, side, group, r.replica, db, s)
	}
	out(fSuspended, one(r.suspended), floorDAG, side, group, r.replica, db)
}

func delta(db, lsn string, vlf, block, toVLF, toBlock int64, out emit) {
	out(fDelta, float64(vlf-toVLF)*1e15+float64(block-toBlock)*1e5, floorDAG, db, lsn)
	out(fVLFs, float64(vlf-toVLF), floorDAG, db, lsn)
	if vlf == toVLF {
		out(fBlocks, float64(block-toBlock), floorDAG, db, lsn)
	}
}

// Describe implements prometheus.Collector.
func (c *floorCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// floorCollector reads both sides and exposes them through client_golang.
type floorCollector struct {
	f   *floor
	ctx context.Context
}

// Collect implements prometheus.Collector.
func (c *floorCollector) Collect(ch chan<- prometheus.Metric) {
	p, err := c.f.read(c.ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(fUp.desc, err)
		return
	}
	c.f.samples(p, func(f *family, v float64, labels ...string) {
		t := prometheus.GaugeValue
		if f.counter {
			t = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(f.desc, t, v, labels...)
	})
}

// serveText is the same without client_golang.
func (f *floor) serveText(ctx context.Context, w http.ResponseWriter) {
	p, err := f.read(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var b bytes.Buffer
	f.text(p, &b)
	_, _ = w.Write(b.Bytes()) // a client that is gone is no error
}

// text writes the exposition by hand: what client_golang costs is the
// difference.
func (f *floor) text(p *floorPair, b *bytes.Buffer) {
	byFamily := make(map[*family][]byte, len(families))
	f.samples(p, func(fam *family, v float64, labels ...string) {
		t := byFamily[fam]
		if t == nil {
			t = make([]byte, 0, 4096)
		}
		t = append(t, fam.name...)
		for i, l := range labels {
			if i == 0 {
				t = append(t, '{')
			} else {
				t = append(t, ',')
			}
			t = append(t, fam.labels[i]...)
			t = append(t, '=')
			t = strconv.AppendQuote(t, l)
		}
		t = append(t, "} "...)
		t = strconv.AppendFloat(t, v, 'g', -1, 64)
		byFamily[fam] = append(t, '\n')
	})
	for _, fam := range slices.SortedFunc(slices.Values(families), func(a, b *family) int { return bytes.Compare([]byte(a.name), []byte(b.name)) }) {
		b.WriteString("# HELP " + fam.name + " " + fam.help + "\n# TYPE " + fam.name + " gauge\n")
		b.Write(byFamily[fam])
	}
}
