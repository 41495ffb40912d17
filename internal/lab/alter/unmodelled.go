package alter

import (
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// What SQL Server would take and the lab does not do is 50900, in words: "incorrect syntax" (102) would have somebody correct a script that is right.
// Only the word that tells is looked for; what follows it is not read.

func unmodelled(what string) *model.Error {
	return &model.Error{Number: 50900, Class: 16, State: 1, Message: "dag_lab does not implement " + what + "."}
}

// otherOf is 50900 if one of the words is next, otherwise 102.
func (p *parser) otherOf(what string, list ...string) *model.Error {
	for _, w := range list {
		if p.words(w) {
			return unmodelled(what + w)
		}
	}
	return p.unexpected()
}

// otherChange stands at what ALTER AVAILABILITY GROUP [x] does not have in the lab.
func (p *parser) otherChange() *model.Error {
	for _, list := range [][]string{
		{"JOIN", "AVAILABILITY", "GROUP", "ON"}, {"JOIN"}, {"ADD", "REPLICA", "ON"}, {"REMOVE", "REPLICA", "ON"}, {"ADD", "LISTENER"}, {"MODIFY", "LISTENER"},
		{"RESTART", "LISTENER"}, {"REMOVE", "LISTENER"}, {"OFFLINE"},
	} {
		if p.words(list...) {
			return unmodelled("ALTER AVAILABILITY GROUP … " + strings.Join(list, " "))
		}
	}
	return p.unexpected()
}

// otherOption stands in SET ( … ).
func (p *parser) otherOption() *model.Error {
	return p.otherOf("ALTER AVAILABILITY GROUP … SET ", "AUTOMATED_BACKUP_PREFERENCE", "FAILURE_CONDITION_LEVEL", "HEALTH_CHECK_TIMEOUT", "DB_FAILOVER", "DTC_SUPPORT",
		"CLUSTER_CONNECTION_OPTIONS")
}

// only reads = value of an option that the lab's replicas have for good: what they are is taken, what they can be elsewhere is 50900, since a view
// would go on to show the old value.
func (p *parser) only(option, is, also string, not ...string) *model.Error {
	return p.value(func() *model.Error {
		if p.words(is) || also != "" && p.words(also) {
			return nil
		}
		return p.otherOf(option+" = ", not...)
	})
}
