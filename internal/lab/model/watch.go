package model

// DAGRole is the side's own role in the distributed AG; Resolving where it was dropped.
func (m *Model) DAGRole(s Side) Role {
	if !m.sides[s].dag.exists {
		return Resolving
	}
	return m.sides[s].dag.role
}
