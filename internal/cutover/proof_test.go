package cutover

import (
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestHolds: a row proves only what the target's disk holds of everything that
// the source shows or ever showed. Each case is one step away from a proof.
func TestHolds(t *testing.T) {
	proof := ProofRow{Database: "db001",
		SourceHardened: simLSN(5), SourceEndOfLog: simLSN(4), HighHardened: simLSN(5), HighEndOfLog: simLSN(4),
		TargetHardened: simLSN(5), TargetEndOfLog: simLSN(4)}
	for name, c := range map[string]struct {
		basis  Basis
		change func(*ProofRow)
		proves bool
	}{
		"a proof":                                     {BasisHardened, func(*ProofRow) {}, true},
		"target ahead":                                {BasisHardened, func(r *ProofRow) { r.TargetHardened, r.TargetEndOfLog = simLSN(7), simLSN(6) }, true},
		"target's end below the source's":             {BasisHardened, func(r *ProofRow) { r.TargetEndOfLog, r.HighEndOfLog = simLSN(3), simLSN(3) }, false},
		"target's end below what was shown":           {BasisHardened, func(r *ProofRow) { r.TargetEndOfLog, r.SourceEndOfLog = simLSN(3), simLSN(3) }, false},
		"target's hardened below the source's":        {BasisHardened, func(r *ProofRow) { r.SourceHardened = simLSN(6) }, false},
		"target's hardened below what was shown":      {BasisHardened, func(r *ProofRow) { r.HighHardened = simLSN(6) }, false},
		"equal columns, below the source's end":       {BasisHardened, func(r *ProofRow) { lower(r); r.HighEndOfLog = simLSN(1) }, false},
		"equal columns, below the end that was shown": {BasisHardened, func(r *ProofRow) { lower(r); r.SourceEndOfLog = simLSN(1) }, false},
		"equal columns, at the source's end":          {BasisHardened, func(r *ProofRow) { lower(r); r.TargetHardened = simLSN(4) }, false},
		"the same by end_of_log":                      {BasisEndOfLog, func(r *ProofRow) { lower(r) }, false},
		"target's hardened unknown":                   {BasisHardened, func(r *ProofRow) { r.TargetHardened = hadr.LSN{} }, false},
		"the same by end_of_log, approved":            {BasisEndOfLog, func(r *ProofRow) { r.TargetHardened = hadr.LSN{} }, true},
		"all unknown":                                 {BasisHardened, func(r *ProofRow) { *r = ProofRow{Database: "db001"} }, false},
	} {
		r := proof
		c.change(&r)
		e := engine{p: &Plan{Settings: Settings{ProofBasis: c.basis}}}
		if why := e.holds(&r); (why == "") != c.proves {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// lower holds every hardened value down: slow disks on both sides.
func lower(r *ProofRow) {
	r.SourceHardened, r.HighHardened, r.TargetHardened = simLSN(3), simLSN(3), simLSN(3)
}
