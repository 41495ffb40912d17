package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// TestEveryViewInEveryVersion reads all of every view on both sides, before and after S2: a view whose rows do not fit its
// columns, or a NULL in a column that has none, does not go unnoticed.
func TestEveryViewInEveryVersion(t *testing.T) {
	for major := 13; major <= 17; major++ {
		cfg := model.Config{Timing: quick}
		for i := range cfg.Sides {
			cfg.Sides[i].Instances = []model.InstanceConfig{{Major: major}, {Major: major, Linux: true}}
		}
		l := start(t, Options{Model: cfg})
		src, tgt := l.test(t, Source), l.test(t, Target)
		if _, err := l.Control().OpenTransaction(Source, 0, "db001", 2); err != nil {
			t.Fatal(err)
		}
		exec(t, src, "EXEC sp_addextendedproperty 'a', 'b'")
		secondary := open(t, l.DSNFor(l.AddressOf(Source, 1), SA, SAPassword, "master"))
		for round := range 2 {
			for name, v := range l.views {
				if v.From > major {
					fails(t, src, 208, "SELECT * FROM "+name)
					continue
				}
				for _, db := range []queryer{src, tgt, secondary} {
					_ = rows(t, db, "SELECT * FROM "+name)
				}
			}
			if round == 0 {
				exec(t, src, sqlS2)
				eventually(t, "demoted", func() bool { return one(t, src, roleQuery) == "SECONDARY" })
			}
		}
		for column, from := range map[string]int{"sys.availability_groups.sequence_number": 14, "sys.dm_hadr_database_replica_states.quorum_commit_lsn": 15,
			"sys.availability_groups.is_contained": 16, "sys.availability_groups.cluster_connection_options": 17} {
			i := strings.LastIndexByte(column, '.')
			want := int32(0)
			if major < from {
				want = 207
			}
			fails(t, src, want, fmt.Sprintf("SELECT %s FROM %s", column[i+1:], column[:i]))
		}
	}
}
