package alter

import (
	"strconv"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// HADR is ALTER DATABASE … SET HADR ….
type HADR struct {
	Database string
	// Action is SUSPEND, RESUME, OFF or JOIN.
	Action string
	Group  string // JOIN
}

// Kill is KILL session_id.
type Kill struct{ Session int }

// DatabaseOption is another ALTER DATABASE … SET: the lab only knows that most are refused on an availability database (1468).
type DatabaseOption struct{ Database, Option string }

// Parse reads one statement. The result is a model.Statement, HADR, Kill or DatabaseOption; nil, nil if the statement is of
// another kind.
func Parse(text string) (any, *model.Error) {
	toks, err := lex(text)
	if err != nil {
		return nil, err
	}
	v, err := (&parser{toks: toks}).statement()
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (p *parser) statement() (any, *model.Error) {
	switch {
	case p.words("ALTER", "AVAILABILITY", "GROUP"):
		return p.alterGroup()
	case p.words("DROP", "AVAILABILITY", "GROUP"):
		name, err := p.identifier()
		if err != nil {
			return nil, err
		}
		return model.Statement{Verb: model.DropGroup, Group: name}, p.end()
	case p.words("ALTER", "DATABASE"):
		return p.alterDatabase()
	case p.words("KILL"):
		t := p.next()
		if t.kind != tokNumber && t.kind != tokString {
			return nil, syntax(t.text)
		}
		n, e := strconv.Atoi(t.text)
		if e != nil {
			return nil, syntax(t.text)
		}
		return Kill{Session: n}, p.end()
	}
	return nil, nil
}

type parser struct {
	toks []token
	at   int
}

func (p *parser) peek() token {
	if p.at >= len(p.toks) {
		return token{}
	}
	return p.toks[p.at]
}

func (p *parser) next() token {
	t := p.peek()
	p.at++
	return t
}

// words takes a run of keywords, or nothing.
func (p *parser) words(list ...string) bool {
	for i, w := range list {
		if p.at+i >= len(p.toks) || p.toks[p.at+i].kind != tokWord || !strings.EqualFold(p.toks[p.at+i].text, w) {
			return false
		}
	}
	p.at += len(list)
	return true
}

func (p *parser) punct(s string) bool {
	if t := p.peek(); t.kind == tokPunct && t.text == s {
		p.at++
		return true
	}
	return false
}

func (p *parser) must(s string) *model.Error {
	if !p.punct(s) {
		return p.unexpected()
	}
	return nil
}

func (p *parser) mustWord(list ...string) *model.Error {
	if !p.words(list...) {
		return p.unexpected()
	}
	return nil
}

func (p *parser) unexpected() *model.Error {
	t := p.peek()
	if t.kind == tokEnd {
		if len(p.toks) == 0 {
			return syntax("")
		}
		return syntax(p.toks[len(p.toks)-1].text)
	}
	return syntax(t.text)
}

func (p *parser) end() *model.Error {
	p.punct(";")
	if p.peek().kind != tokEnd {
		return p.unexpected()
	}
	return nil
}

func (p *parser) identifier() (string, *model.Error) {
	t := p.peek()
	if t.kind != tokWord && t.kind != tokQuoted || t.text == "" {
		return "", p.unexpected()
	}
	p.at++
	return t.text, nil
}

func (p *parser) literal() (string, *model.Error) {
	t := p.peek()
	if t.kind != tokString {
		return "", p.unexpected()
	}
	p.at++
	return t.text, nil
}

func (p *parser) alterGroup() (any, *model.Error) {
	name, err := p.identifier()
	if err != nil {
		return nil, err
	}
	st := model.Statement{Group: name}
	switch {
	case p.words("FORCE_FAILOVER_ALLOW_DATA_LOSS"):
		st.Verb = model.ForceFailover
	case p.words("FAILOVER"):
		st.Verb = model.PlainFailover
	case p.words("MODIFY", "AVAILABILITY", "GROUP", "ON"):
		err = p.members(&st)
	case p.words("MODIFY", "REPLICA", "ON"):
		err = p.replica(&st)
	case p.words("GRANT", "CREATE", "ANY", "DATABASE"), p.words("DENY", "CREATE", "ANY", "DATABASE"):
		st.Verb = model.Grant
	case p.words("SET"):
		err = p.set(&st)
	case p.words("ADD", "DATABASE"):
		st.Verb = model.AddDatabase
		st.Database, err = p.identifier()
	case p.words("REMOVE", "DATABASE"):
		st.Verb = model.RemoveDatabase
		st.Database, err = p.identifier()
	default:
		err = p.otherChange()
	}
	if err != nil {
		return nil, err
	}
	return st, p.end()
}

// set reads SET ( ROLE = SECONDARY ) and SET ( REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = n ).
func (p *parser) set(st *model.Statement) *model.Error {
	if err := p.must("("); err != nil {
		return err
	}
	switch {
	case p.words("ROLE"):
		st.Verb = model.SetRole
		if err := p.must("="); err != nil {
			return err
		}
		if err := p.mustWord("SECONDARY"); err != nil {
			return err
		}
	case p.words("REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT"):
		st.Verb = model.SetRSSTC
		if err := p.must("="); err != nil {
			return err
		}
		t := p.next()
		n, e := strconv.Atoi(t.text)
		if t.kind != tokNumber || e != nil {
			return syntax(t.text)
		}
		st.Value = n
	default:
		return p.otherOption()
	}
	return p.must(")")
}

// members reads 'AG' WITH ( option = value, … ), …
func (p *parser) members(st *model.Statement) *model.Error {
	st.Verb = model.ModifyMembers
	for {
		name, err := p.literal()
		if err != nil {
			return err
		}
		m := model.Member{Name: name}
		if err := p.options(func() *model.Error {
			switch {
			case p.words("AVAILABILITY_MODE"):
				return p.mode(&m)
			case p.words("LISTENER_URL"):
				return p.value(func() (err *model.Error) { m.URL, err = p.literal(); return })
			case p.words("SEEDING_MODE"):
				return p.value(func() *model.Error { return p.oneOf(&m.Seeding, "AUTOMATIC", "MANUAL") })
			case p.words("FAILOVER_MODE"):
				return p.value(func() *model.Error {
					if p.words("AUTOMATIC") {
						return &model.Error{Number: 35277, Class: 16, State: 1, Message: "Automatic failover is not supported for distributed availability group replica."}
					}
					return p.mustWord("MANUAL")
				})
			}
			return p.unexpected()
		}); err != nil {
			return err
		}
		st.Members = append(st.Members, m)
		if !p.punct(",") {
			return nil
		}
	}
}

// replica reads N'server' WITH ( AVAILABILITY_MODE = … ) and the like.
func (p *parser) replica(st *model.Statement) *model.Error {
	st.Verb = model.ModifyReplica
	name, err := p.literal()
	if err != nil {
		return err
	}
	m := model.Member{Name: name}
	err = p.options(func() *model.Error {
		switch {
		case p.words("AVAILABILITY_MODE"):
			return p.mode(&m)
		case p.words("FAILOVER_MODE"):
			return p.only("FAILOVER_MODE", "MANUAL", "EXTERNAL", "AUTOMATIC")
		case p.words("SEEDING_MODE"):
			return p.only("SEEDING_MODE", "AUTOMATIC", "", "MANUAL")
		case p.words("SECONDARY_ROLE"):
			if err := p.must("("); err != nil {
				return err
			}
			if !p.words("ALLOW_CONNECTIONS") {
				return p.otherOf("the replica option ", "READ_ONLY_ROUTING_URL")
			}
			return p.value(func() *model.Error {
				var s string
				if err := p.oneOf(&s, "NO", "READ_ONLY", "ALL"); err != nil {
					return err
				}
				a := map[string]model.Access{"NO": model.AllowNo, "READ_ONLY": model.AllowReadOnly, "ALL": model.AllowAll}[s]
				st.Access = &a
				return p.must(")")
			})
		}
		return p.otherOf("the replica option ", "ENDPOINT_URL", "SESSION_TIMEOUT", "BACKUP_PRIORITY", "PRIMARY_ROLE")
	})
	st.Members = []model.Member{m}
	return err
}

func (p *parser) options(one func() *model.Error) *model.Error {
	if err := p.mustWord("WITH"); err != nil {
		return err
	}
	if err := p.must("("); err != nil {
		return err
	}
	for {
		if err := one(); err != nil {
			return err
		}
		if !p.punct(",") {
			return p.must(")")
		}
	}
}

func (p *parser) value(read func() *model.Error) *model.Error {
	if err := p.must("="); err != nil {
		return err
	}
	return read()
}

func (p *parser) oneOf(to *string, list ...string) *model.Error {
	for _, w := range list {
		if p.words(w) {
			*to = w
			return nil
		}
	}
	return p.unexpected()
}

func (p *parser) mode(m *model.Member) *model.Error {
	return p.value(func() *model.Error {
		var s string
		if err := p.oneOf(&s, "SYNCHRONOUS_COMMIT", "ASYNCHRONOUS_COMMIT"); err != nil {
			return err
		}
		mode := model.Async
		if s == "SYNCHRONOUS_COMMIT" {
			mode = model.Sync
		}
		m.Mode = &mode
		return nil
	})
}

func (p *parser) alterDatabase() (any, *model.Error) {
	if t := p.peek(); t.kind == tokWord && (strings.EqualFold(t.text, "CURRENT") || strings.EqualFold(t.text, "SCOPED")) {
		return nil, unmodelled("ALTER DATABASE " + strings.ToUpper(t.text))
	}
	name, err := p.identifier()
	if err != nil {
		return nil, err
	}
	if !p.words("SET") {
		return nil, p.otherOf("ALTER DATABASE … ", "ADD", "COLLATE", "MODIFY", "REMOVE")
	}
	if !p.words("HADR") {
		t := p.next()
		if t.kind != tokWord {
			return nil, syntax(t.text)
		}
		return DatabaseOption{Database: name, Option: strings.ToUpper(t.text)}, nil
	}
	h := HADR{Database: name}
	switch {
	case p.words("SUSPEND"):
		h.Action = "SUSPEND"
	case p.words("RESUME"):
		h.Action = "RESUME"
	case p.words("OFF"):
		h.Action = "OFF"
	case p.words("AVAILABILITY", "GROUP"):
		h.Action = "JOIN"
		if err := p.must("="); err != nil {
			return nil, err
		}
		if h.Group, err = p.identifier(); err != nil {
			return nil, err
		}
	default:
		return nil, p.unexpected()
	}
	return h, p.end()
}
