package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// post sends one control command over HTTP.
func post(t *testing.T, url, command, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url+"/api/v1/"+command, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestControlOverHTTP(t *testing.T) {
	l := start(t, Options{Model: model.Config{Timing: quick, DAGMode: model.Sync}})
	srv := httptest.NewServer(l.Control())
	t.Cleanup(func() {
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	src, tgt := l.test(t, Source), l.test(t, Target)
	do := func(command, body string) string {
		t.Helper()
		code, answer := post(t, srv.URL, command, body)
		if code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", command, body, code, answer)
		}
		return answer
	}
	for command, body := range map[string]string{"nosuch": "{}", "stop": "{}", "suspend": `{"side":"source","database":"x"}`, "fault": `{"fault":{"class":"x","hang":true}}`,
		"timing": `{"timing":{"x":"1s"}}`, "load": `{"rowz":1}`, "place-log": `{"database":"db001","vlf":0,"block":0}`, "override-lsn": `{"side":"source","database":"db001","column":"end_of_log_lsn","value":"-1"}`} {
		if code, _ := post(t, srv.URL, command, body); code != http.StatusBadRequest {
			t.Errorf("%s %s: %d", command, body, code)
		}
	}
	t.Run("state", func(t *testing.T) {
		resp, err := http.Get(srv.URL + "/api/v1/state")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var s State
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		if len(s.Sides) != 2 || s.Sides[0].Role != "PRIMARY" || len(s.Sides[1].Instances[0].Databases) != 3 {
			t.Errorf("state %+v", s)
		}
	})
	t.Run("load", func(t *testing.T) {
		before := lsns(t, src)["db002"]
		do("load", `{"database":"db002","rows":500}`)
		eventually(t, "the log moves", func() bool { return lsns(t, src)["db002"] != before })
		if one(t, userDB(t, l, Source, "db002"), "SELECT COUNT(*) FROM dbo.ledger") != "0" {
			t.Error("load writes to the ledger")
		}
		if one(t, src, "SELECT COUNT(*) FROM sys.dm_os_performance_counters WHERE counter_name = 'Write Transactions/sec' AND instance_name = 'db002' AND cntr_value > 0") != "1" {
			t.Error("no write transactions counted")
		}
		do("load", `{"rows":0}`)
	})
	t.Run("lsn", func(t *testing.T) {
		do("place-log", `{"database":"db003","vlf":9999,"block":160}`)
		if got := lsns(t, tgt)["db003"][1]; got != "9999000000016000001" {
			t.Errorf("placed log reads %s", got)
		}
		for _, v := range []string{"0", "1", "4294967295429496729500001"} {
			do("override-lsn", `{"side":"target","database":"db003","column":"last_hardened_lsn","value":"`+v+`"}`)
			if got := lsns(t, tgt)["db003"][0]; got != v {
				t.Errorf("sentinel %s reads %s", v, got)
			}
		}
		do("override-lsn", `{"side":"target","database":"db003","column":"last_hardened_lsn","value":"null"}`)
		if got := lsns(t, tgt)["db003"][0]; got != "NULL" {
			t.Errorf("NULL reads %s", got)
		}
		do("override-lsn", `{"side":"target","database":"db003","column":"last_hardened_lsn","value":""}`)
		if a, b := lsns(t, src)["db003"], lsns(t, tgt)["db003"]; a != b {
			t.Errorf("after the override: %v %v", a, b)
		}
	})
	t.Run("open transaction", func(t *testing.T) {
		var id struct{ ID uint64 }
		if err := json.Unmarshal([]byte(do("open-transaction", `{"side":"source","database":"db001","rows":3}`)), &id); err != nil {
			t.Fatal(err)
		}
		q := "SELECT COUNT(*) FROM sys.dm_tran_session_transactions t JOIN sys.dm_exec_sessions s ON s.session_id = t.session_id WHERE s.program_name = 'forgotten window'"
		if n := one(t, src, q); n != "1" {
			t.Errorf("%s open transactions", n)
		}
		do("end-transaction", fmt.Sprintf(`{"side":"source","id":%d,"commit":true}`, id.ID))
		eventually(t, "committed", func() bool {
			return one(t, src, q) == "0" && one(t, src, "SELECT COUNT(*) FROM db001.dbo.ledger") == "3"
		})
	})
	t.Run("redo and suspend", func(t *testing.T) {
		do("redo", `{"side":"target","kbps":-1}`)
		exec(t, src, "INSERT db001.dbo.ledger (id, note) VALUES (77, N'x')")
		eventually(t, "a redo queue, hardened all the same", func() bool {
			return lsns(t, src)["db001"] == lsns(t, tgt)["db001"] &&
				one(t, src, "SELECT MAX(redo_queue_size) FROM sys.dm_hadr_database_replica_states WHERE is_local = 0 AND DB_NAME(database_id) = 'db001'") != "0"
		})
		if n := one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id = 77"); n != "0" {
			t.Error("the row was redone")
		}
		do("redo", `{"side":"target","kbps":50000}`)
		eventually(t, "redone", func() bool { return one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id = 77") == "1" })
		do("suspend", `{"side":"target","database":"db001"}`)
		exec(t, src, "INSERT db001.dbo.ledger (id) VALUES (78)")
		if q := one(t, src, "SELECT log_send_queue_size FROM sys.dm_hadr_database_replica_states WHERE is_local = 0 AND is_suspended = 1 AND secondary_lag_seconds = 0"); q == "0" {
			t.Error("no send queue while suspended")
		}
		do("resume", `{"side":"target","database":"db001"}`)
		eventually(t, "caught up", func() bool { return one(t, tgt, "SELECT COUNT(*) FROM db001.dbo.ledger WHERE id = 78") == "1" })
	})
	t.Run("rsstc and cut", func(t *testing.T) {
		eventually(t, "SYNCHRONIZED", func() bool { return one(t, src, linkQuery) == "3" })
		do("rsstc", `{"side":"source","value":"1"}`)
		time.Sleep(30 * time.Millisecond)
		do("cut", `{}`)
		eventually(t, "dropped by the session timeout", func() bool { return one(t, src, linkQuery) == "0" })
		fails(t, userDB(t, l, Source, "db001"), 988, "INSERT dbo.ledger (id) VALUES (90)")
		exec(t, src, sqlRSSTC0)
		eventually(t, "writable again", func() bool {
			_, err := src.ExecContext(within(t), "INSERT db001.dbo.ledger (id) VALUES (91)")
			return err == nil
		})
		if s := one(t, src, "SELECT connected_state_desc FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_groups g ON g.group_id = s.group_id WHERE g.is_distributed = 1 AND s.is_local = 0"); s != "DISCONNECTED" {
			t.Errorf("link reads %s", s)
		}
		do("heal", ``)
		eventually(t, "linked again", func() bool { return one(t, src, linkQuery) == "3" })
	})
	t.Run("clock, clients, login, errors", func(t *testing.T) {
		do("clock", `{"side":"target","offset":"3600s"}`)
		a, b := one(t, src, "SELECT GETDATE()"), one(t, tgt, "SELECT GETDATE()")
		x, _ := time.Parse(time.RFC3339Nano, a)
		y, _ := time.Parse(time.RFC3339Nano, b)
		if d := y.Sub(x); d < 59*time.Minute || d > 61*time.Minute {
			t.Errorf("clock offset %s", d)
		}
		do("client-latency", `{"side":"target","latency":"100ms"}`)
		begin := time.Now()
		exec(t, tgt, "SELECT 1")
		if time.Since(begin) < 90*time.Millisecond {
			t.Error("no latency")
		}
		do("client-latency", `{"side":"target","latency":"0s"}`)
		do("login", `{"login":{"name":"late","password":"p"}}`)
		exec(t, open(t, l.DSNFor(l.Address(Source), "late", "p", "master")), "SELECT 1")
		do("fault", `{"fault":{"side":"source","class":"s2","error":41138}}`)
		fails(t, src, 41138, sqlS2)
		do("fault", `{"fault":{"side":"source","text":"slow","delay_answer":"150ms"}}`)
		begin = time.Now()
		exec(t, src, "SELECT 1 /* slow */")
		if time.Since(begin) < 150*time.Millisecond {
			t.Error("the answer was not delayed")
		}
		do("fault", `{"fault":{"text":"hangs","hang":true,"lose":"after","times":-1}}`)
		ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
		defer cancel()
		if _, err := src.ExecContext(ctx, "SELECT 1 /* hangs */"); err == nil {
			t.Error("it answered")
		}
		do("clear-faults", `{}`)
		exec(t, src, "SELECT 1 /* hangs */")
	})
}

func TestVirtualClock(t *testing.T) {
	clock := NewVirtualClock(time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC))
	l := start(t, Options{Clock: clock, Model: model.Config{Timing: model.Timing{Failover: time.Minute}}})
	src, tgt := l.test(t, Source), l.test(t, Target)
	exec(t, src, sqlS2)
	clock.Advance(time.Second)
	clock.Advance(time.Second)
	eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
	exec(t, tgt, sqlS3)
	clock.Advance(59 * time.Second)
	if r := one(t, tgt, roleQuery); r != "SECONDARY" {
		t.Errorf("after 59 s: %s", r)
	}
	clock.Advance(2 * time.Second)
	eventually(t, "promoted", func() bool { return one(t, tgt, roleQuery) == "PRIMARY" })
}

func TestTwoLabsInOneProcess(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	if err := a.Control().Stop(Source, 0); err != nil {
		t.Fatal(err)
	}
	exec(t, b.test(t, Source), "SELECT 1")
	if bytes.Equal(a.CertificatePEM(), b.CertificatePEM()) {
		t.Error("one certificate for two labs")
	}
}
