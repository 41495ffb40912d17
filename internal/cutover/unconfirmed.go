package cutover

import (
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Unconfirmed is behaviour of SQL Server that a step meets and that no public
// documentation states: what the engine does if it is otherwise is said with
// it. No safety argument rests on one of these alone, but how long a run takes,
// or whether it has to go back, may.
type Unconfirmed struct {
	Step string `json:"step"` // as Step.Number
	Text string `json:"text"`
}

// Unconfirmed lists them for this plan, in the order of its steps. A drill on a
// pair that matters as little as one can be found is how they become known.
func (p *Plan) Unconfirmed() (l []Unconfirmed) {
	add := func(step, text string) { l = append(l, Unconfirmed{step, text}) }
	add("1", "that a session with an application lock in master outlives S2 and S3; if it does not, the lock is taken and everything is read again")
	if p.CrossVersion {
		add("3", "what the link's rows read when the target is of a newer version; if they never read as the step wants, the run goes back before anything is demoted")
	}
	if p.UseRequired {
		add("5", "whether RSSTC=1 set on the source shows in the target's copy too, and what a client sees whose commit waits while the link is down; both copies are read, and it is taken back first of all")
	}
	add("7", "whether S2 ships its own rollback records before the role changes; the quiet gate keeps it from mattering, and only a state of rest is judged after it")
	add("8", "which rows and columns both sides show after S2, and what Updateability reads on a forwarder; what cannot be read means waiting, then the way back")
	add("9", "that last_hardened_lsn still stands beyond end_of_log_lsn after S2, as on every row recorded before it; if it does not, there is no proof, and the run goes back")
	for _, s := range []hadr.Side{hadr.Source, hadr.Target} {
		if n := p.Endpoint(s).ReplicaNames; n != "" && !strings.Contains(n, ",") {
			add("9", "whether last_hardened_lsn is shown at all on the "+string(s)+", whose availability group has one replica; NULL proves nothing unless the plan says proof_basis: end_of_log")
		}
	}
	back := "back"
	if p.Drill {
		back = "drill"
	} else {
		add("10", "how long the link's rows read NOT SYNCHRONIZING with an LSN of 0 after S3; nothing waits for them")
	}
	if p.UseRequired {
		add(back, "S3 on the source right after S2: spelled out in the procedure for versions before 2022, while the one from 2022 on says that one cannot fail back before the rest is done; if it is refused, this is a page with both ways out")
	}
	add(back, "whether the target is suspended by S3 on the source, and resumes by itself; suspended databases are listed, RESUME is left to a person")
	return l
}
