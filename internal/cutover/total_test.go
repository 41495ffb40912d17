package cutover

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// TestTotal: any phase with any observation gives a decision, never a panic,
// and leaves the intent that was handed in as it was. Parts of a real run are
// torn out at random.
func TestTotal(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	coin := func() bool { return rnd.IntN(3) == 0 }
	for range 40 {
		s := newSim(coin()).begin()
		for range 30 {
			in := s.in
			if coin() {
				in.Phase = Phases[rnd.IntN(len(Phases))].Phase
			}
			if coin() {
				in.Phase = "no such phase"
			}
			if coin() {
				in.Sent, in.Mark, in.Rest, in.Proof, in.Hooks, in.Phases = nil, nil, nil, nil, nil, nil
			}
			if coin() {
				in.GoingBack = &GoingBack{}
			}
			o := s.w.observe(s.now, s.outside())
			for _, so := range []*SideObservation{&o.Source, &o.Target} {
				if coin() {
					so.Reading = nil
				}
				if r := so.Reading; r != nil && coin() {
					r.Databases = nil
				}
				if r := so.Reading; r != nil && coin() {
					r.DAG.Role = []hadr.Role{"", hadr.RoleResolving, hadr.RolePrimary, hadr.RoleSecondary}[rnd.IntN(4)]
				}
				if r := so.Reading; r != nil && coin() {
					r.DAG.Members, r.Local.Members, r.Rights = nil, nil, nil
				}
				if r := so.Reading; r != nil && coin() {
					for i := range r.Databases {
						r.Databases[i].Own, r.Databases[i].Link, r.Databases[i].Lineage = nil, nil, nil
					}
				}
			}
			if coin() {
				o.Outside = Outside{}
			}
			before, _ := json.Marshal(in)
			d := Decide(s.p, in, o, s.now)
			if after, _ := json.Marshal(in); string(before) != string(after) {
				t.Fatalf("Decide changed its argument:\n%s\n%s", before, after)
			}
			if d.Action == "" || d.Reason == "" {
				t.Fatalf("no decision: %+v", d)
			}
			_ = Record(d.Intent, Result{Action: d.Action, Statement: d.Statement, Hook: d.Hook}, s.now)
			s.round()
		}
	}
	if d := Decide(Plan{}, Intent{}, Observation{}, time.Time{}); d.Action != ActionWait {
		t.Errorf("nothing known: %s", d.Action)
	}
}

// TestIntentSurvivesTheJournal: the intent of a finished run reads back as it was.
func TestIntentSurvivesTheJournal(t *testing.T) {
	s := newSim(false).begin()
	s.until(t, 60, finishes)
	b, err := json.Marshal(s.in)
	if err != nil {
		t.Fatal(err)
	}
	var in Intent
	if err := json.Unmarshal(b, &in); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.in, in) {
		t.Errorf("was %+v\n is %+v", s.in, in)
	}
	if !in.Proof.Valid() {
		t.Error("the proof does not validate after the journal")
	}
}

// TestPlanHash: what is executed is what was approved.
func TestPlanHash(t *testing.T) {
	p := testPlan(newWorld(), false)
	h := p.Hash()
	for name, change := range map[string]func(*Plan){
		"statement": func(p *Plan) { p.Statements[0].SQL += " " },
		"database":  func(p *Plan) { p.Databases = []string{"db002"} },
		"instance":  func(p *Plan) { p.Target.StartTime = "later" },
		"bound":     func(p *Plan) { p.MaxWriteUnavailable++ },
		"basis":     func(p *Plan) { p.ProofBasis = BasisEndOfLog },
	} {
		q := testPlan(newWorld(), false)
		if q.Hash() != h {
			t.Fatal("the same plan has two hashes")
		}
		change(&q)
		if q.Hash() == h {
			t.Errorf("%s is not covered by the hash", name)
		}
	}
}
