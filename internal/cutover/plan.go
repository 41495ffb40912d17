package cutover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// Render gives the SQL text of one statement; sqlserver does it, runner hands
// it in. sourceAG and targetAG are the members' names in the DAG's spelling.
type Render func(kind Kind, group, sourceAG, targetAG string) (string, error)

// firstRequired is the first major version that knows RSSTC on a distributed
// AG: SQL Server 2022.
const firstRequired = 16

// withDefaults fills what the configuration left open. Every default is the
// one of design.md.
func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&s.ProofTTL, 10*time.Second)
	def(&s.SettleInterval, 250*time.Millisecond)
	def(&s.Settle, 2*time.Minute)
	def(&s.RequireExposure, 15*time.Second)
	def(&s.MaxWriteUnavailable, time.Minute)
	def(&s.MaxDuration, 30*time.Minute)
	def(&s.SplitWatch, 10*time.Minute)
	def(&s.MaxClockOffset, 30*time.Second)
	def(&s.HookTimeout, 30*time.Second)
	if s.SettleReadings < 2 {
		s.SettleReadings = 3
	}
	if s.NearSendQueue <= 0 {
		s.NearSendQueue = 64 << 20
	}
	if s.NearRedoQueue <= 0 {
		s.NearRedoQueue = 256 << 20
	}
	if s.StartAt != LevelNear && s.StartAt != LevelSynchronized {
		s.StartAt = LevelCaughtUp
	}
	if s.ProofBasis != BasisEndOfLog {
		s.ProofBasis = BasisHardened
	}
	if s.Approvals < 0 {
		s.Approvals = 0
	}
	s.BackToAsync = s.BackToAsync || s.CrossVersion
	s.QuietPrograms, s.Checklist = sorted(s.QuietPrograms), sorted(s.Checklist)
	s.Databases = sorted(s.Databases)
	s.Hooks = slices.Sorted(slices.Values(s.Hooks))
	return s
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// BuildPlan makes the plan of a run from the settings and one reading of each
// side, or says in a DBA's words why there can be none. It does not judge
// readiness: that is the gates' work.
func BuildPlan(settings Settings, source, target *hadr.Reading, render Render) (Plan, error) {
	p := Plan{Settings: settings.withDefaults()}
	for _, s := range []struct {
		side hadr.Side
		r    *hadr.Reading
		ag   string
	}{{hadr.Source, source, p.SourceAG}, {hadr.Target, target, p.TargetAG}} {
		if s.r == nil {
			return Plan{}, fmt.Errorf("plan: the %s could not be read", s.side)
		}
		if !s.r.DAG.Found || s.r.DAG.GroupID == "" {
			return Plan{}, fmt.Errorf("plan: the %s shows no distributed availability group %q (or the login may not see it)", s.side, p.Group)
		}
		if !s.r.Local.Found || s.r.Local.GroupID == "" || s.ag != "" && s.r.Local.Name != s.ag {
			return Plan{}, fmt.Errorf("plan: the %s shows no local availability group %q", s.side, s.ag)
		}
		if s.r.Identity.ServerName == "" || s.r.Identity.StartTime == "" {
			return Plan{}, fmt.Errorf("plan: the %s does not say who it is (@@SERVERNAME, sqlserver_start_time)", s.side)
		}
		if s.r.Databases == nil {
			return Plan{}, fmt.Errorf("plan: the %s's list of databases could not be read", s.side)
		}
	}
	if source.DAG.GroupID != target.DAG.GroupID {
		return Plan{}, fmt.Errorf("plan: %q is another distributed availability group on each side (%s and %s)", p.Group, source.DAG.GroupID, target.DAG.GroupID)
	}
	p.GroupID = source.DAG.GroupID
	p.SourceAG, p.TargetAG = source.Local.Name, target.Local.Name
	if p.Group == "" {
		p.Group = source.DAG.Name
	}
	p.Source, p.Target = endpoint(&p, source), endpoint(&p, target)
	p.UseRequired = p.Source.Major >= firstRequired && p.Target.Major >= firstRequired
	if len(p.Databases) == 0 {
		for _, d := range source.Databases {
			p.Databases = append(p.Databases, d.Name)
		}
		p.Databases = sorted(p.Databases)
	}
	if len(p.Databases) == 0 {
		return Plan{}, errors.New("plan: the source's availability group holds no database")
	}
	if len(slices.Compact(slices.Clone(p.Databases))) != len(p.Databases) {
		return Plan{}, errors.New("plan: a database is listed twice")
	}
	for _, n := range p.Databases {
		if d := database(source, n); d != nil && d.Lineage != nil && d.Lineage.FamilyGUID != "" {
			p.Lineage = append(p.Lineage, Lineage{Database: n, FamilyGUID: d.Lineage.FamilyGUID, ForkGUID: d.Lineage.ForkGUID})
		}
	}
	for _, s := range p.allowed() {
		sql, err := render(s.Kind, p.Group, p.SourceAG, p.TargetAG)
		if err != nil {
			return Plan{}, fmt.Errorf("plan: statement %s on the %s: %w", s.Kind, s.Side, err)
		}
		s.SQL = sql
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

// PartialPlan is as much of a plan as one read side gives: enough for a page to
// name its statements when the other side is gone, or when there can be no
// plan. Nothing ever starts with it, since a gate asks for both sides; what it
// does not know is empty.
func PartialPlan(settings Settings, source, target *hadr.Reading, render Render) (Plan, error) {
	p := Plan{Settings: settings.withDefaults()}
	p.Drill = false
	for _, r := range []*hadr.Reading{source, target} {
		if r == nil || !r.DAG.Found || r.DAG.GroupID == "" || !r.Local.Found {
			continue
		}
		if p.GroupID != "" && p.GroupID != r.DAG.GroupID {
			return Plan{}, fmt.Errorf("plan: %q is another distributed availability group on each side (%s and %s)", p.Group, p.GroupID, r.DAG.GroupID)
		}
		p.GroupID = r.DAG.GroupID
		p.UseRequired = p.UseRequired || r.Identity.Major >= firstRequired
		ep := endpoint(&p, r)
		if r.Side == hadr.Source {
			p.Source = ep
		} else {
			p.Target = ep
		}
	}
	if p.GroupID == "" {
		return Plan{}, errors.New("plan: neither side could be read")
	}
	for _, s := range p.allowed() {
		sql, err := render(s.Kind, p.Group, p.SourceAG, p.TargetAG)
		if err != nil {
			return Plan{}, fmt.Errorf("plan: statement %s on the %s: %w", s.Kind, s.Side, err)
		}
		s.SQL = sql
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

// allowed lists the statements that a run of this plan may ever need. A drill
// has no S3 on the target: what is not in the plan cannot be sent.
func (p *Plan) allowed() []Statement {
	l := []Statement{{Kind: SetSynchronous, Side: hadr.Source}, {Kind: SetSynchronous, Side: hadr.Target}}
	if p.UseRequired {
		l = append(l, Statement{Kind: RequireSecondary, Side: hadr.Source})
	}
	l = append(l, Statement{Kind: Demote, Side: hadr.Source})
	if !p.Drill {
		l = append(l, Statement{Kind: Promote, Side: hadr.Target})
	}
	if p.UseRequired {
		l = append(l, Statement{Kind: ReleaseSecondary, Side: hadr.Target}, Statement{Kind: ReleaseSecondary, Side: hadr.Source})
	}
	return append(l, Statement{Kind: Promote, Side: hadr.Source},
		Statement{Kind: SetAsynchronous, Side: hadr.Target}, Statement{Kind: SetAsynchronous, Side: hadr.Source})
}

// statement of the plan; false if the plan does not have it.
func (p *Plan) statement(k Kind, s hadr.Side) (Statement, bool) {
	for _, st := range p.Statements {
		if st.Kind == k && st.Side == s {
			return st, true
		}
	}
	return Statement{Kind: k, Side: s}, false
}

func endpoint(p *Plan, r *hadr.Reading) Endpoint {
	e := Endpoint{
		AG: r.Local.Name, AGGroupID: r.Local.GroupID, ReplicaID: r.Identity.ReplicaID,
		ServerName: r.Identity.ServerName, StartTime: r.Identity.StartTime,
		Major: r.Identity.Major, Version: r.Identity.Version,
		DAGSequence: r.DAG.SequenceNumber.V, AGSequence: r.Local.SequenceNumber.V,
		ReplicaNames: replicaNames(r),
	}
	if m := r.DAG.Member(p.SourceAG); m != nil {
		e.SourceURL = m.EndpointURL
	}
	if m := r.DAG.Member(p.TargetAG); m != nil {
		e.TargetURL = m.EndpointURL
	}
	return e
}

func replicaNames(r *hadr.Reading) string {
	var n []string
	for _, m := range r.Local.Members {
		n = append(n, m.Name)
	}
	return strings.Join(sorted(n), ",")
}

// Hash of the plan: hex SHA-256 of its canonical form, which is its JSON with
// sorted lists. It covers the statements, the database set, both sides'
// identities, versions, start times and sequence numbers, the topology, and
// every setting that changes what a run may do.
func (p *Plan) Hash() string {
	b, err := json.Marshal(p)
	if err != nil { // strings, numbers and lists only: cannot happen
		return "unhashable: " + err.Error()
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func (p *Plan) has(h HookName) bool { return slices.Contains(p.Hooks, h) }

// Step is one line of the order as a run of this plan would go through it.
type Step struct {
	Number     string // "0" … "12", "back"
	Text       string
	Statements []Statement
	Hooks      []HookName
}

// Steps is the order 0–12 for this plan, and the way back, for people.
func (p *Plan) Steps() []Step {
	get := func(kinds ...Kind) func(sides ...hadr.Side) []Statement {
		return func(sides ...hadr.Side) (l []Statement) {
			for _, k := range kinds {
				for _, s := range sides {
					if st, ok := p.statement(k, s); ok {
						l = append(l, st)
					}
				}
			}
			return l
		}
	}
	hooks := func(names ...HookName) (l []HookName) {
		for _, n := range names {
			if p.has(n) {
				l = append(l, n)
			}
		}
		return l
	}
	const src, tgt = hadr.Source, hadr.Target
	steps := []Step{
		{Number: "0", Text: "read both sides and evaluate every gate; nothing is touched"},
		{Number: "1", Text: "lock source, lock target, write the run's id into both masters"},
		{Number: "2", Text: "synchronous commit in both sides' own copies, read back", Statements: get(SetSynchronous)(src, tgt)},
		{Number: "3", Text: "wait until every database's link row is SYNCHRONIZED, connected and moving"},
		{Number: "4", Text: "quiesce the writers; quiet proven; every database past the mark on the target", Hooks: hooks(HookQuiesce)},
	}
	if p.UseRequired {
		steps = append(steps, Step{Number: "5", Text: fmt.Sprintf("RSSTC=1 on the source, for at most %s", p.RequireExposure), Statements: get(RequireSecondary)(src)})
	}
	steps = append(steps,
		Step{Number: "6", Text: "every gate again but alert lease, alert path and window; identities unchanged"},
		Step{Number: "7", Text: "the source gives up its role: no side takes writes from here", Statements: get(Demote)(src)},
		Step{Number: "8", Text: "source reads SECONDARY, none of its databases READ_WRITE"},
		Step{Number: "9", Text: fmt.Sprintf("both sides at rest over %d readings; per database target ≥ source, its hardened value (where the basis asks for one) beyond the source's end of log: the proof (basis %s)", p.SettleReadings, p.ProofBasis)},
	)
	back := Step{Number: "back", Text: "only from 7–9: RSSTC=0 on the source, S3 on the source, confirm, modes back, writers released",
		Statements: append(get(ReleaseSecondary, Promote)(src), get(SetAsynchronous)(tgt, src)...), Hooks: hooks(HookUnquiesce)}
	if p.Drill {
		back.Number, back.Text = "drill", "the same path as the way back: RSSTC=0 and S3 on the source, confirm, modes back, writers released; nothing has moved"
		return append(steps, back)
	}
	steps = append(steps,
		Step{Number: "10", Text: "S3 on the target, carrying the proof, the source just read SECONDARY", Statements: get(Promote)(tgt)},
		Step{Number: "11", Text: "target PRIMARY, every database ONLINE and READ_WRITE: done"},
		Step{Number: "12", Text: "RSSTC=0 where not 0" + map[bool]string{true: ", asynchronous commit again"}[p.BackToAsync] + ", hooks, split watch",
			Statements: append(get(ReleaseSecondary)(tgt, src), map[bool][]Statement{true: get(SetAsynchronous)(tgt, src)}[p.BackToAsync]...), Hooks: hooks(HookRepoint, HookAfter)},
	)
	return append(steps, back)
}

// database of a reading by name: as spelled, else without regard to case
// where the server's collation has none. nil if there is none.
func database(r *hadr.Reading, name string) *hadr.Database {
	if r == nil {
		return nil
	}
	for i := range r.Databases {
		if r.Databases[i].Name == name {
			return &r.Databases[i]
		}
	}
	if !r.Identity.CaseSensitive {
		for i := range r.Databases {
			if strings.EqualFold(r.Databases[i].Name, name) {
				return &r.Databases[i]
			}
		}
	}
	return nil
}
