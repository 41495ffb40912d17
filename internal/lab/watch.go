package lab

import (
	"slices"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// index is the instance's number on its side.
func (n *node) index() int { return slices.Index(n.lab.nodes[n.inst.Side], n) }

// Roles shows which role each side has in the distributed AG at this moment, as it is, not as a client would see it: Resolving
// where there is none. Unlike State it is cheap enough to be asked every few milliseconds.
func (c *Control) Roles() (roles [2]model.Role, err error) {
	err = c.model(func(m *model.Model) {
		for _, s := range []Side{Source, Target} {
			roles[s] = m.DAGRole(s)
		}
	})
	return roles, err
}
