package sqlserver

import (
	"slices"
	"testing"

	"github.com/dag-exporter/dag_exporter/internal/hadr"
)

// The members of a DAG are spelled as they were typed in its CREATE, and a
// server that does not tell the cases apart takes that.
func TestDiscoveredMembersInAnotherCase(t *testing.T) {
	replicas := []discoveredReplica{
		{groupID: "d", group: "DAG", distributed: true, name: "onpremag", local: true, role: hadr.RolePrimary},
		{groupID: "d", group: "DAG", distributed: true, name: "AzureAG"},
		{groupID: "a", group: "OnPremAG", name: "N1", local: true, role: hadr.RolePrimary},
		{groupID: "a", group: "OnPremAG", name: "N2"},
	}
	databases := map[string][]string{"OnPremAG": {"erp"}}
	got := groupsOf(replicas, databases, false)
	if len(got) != 1 || got[0].Local != "OnPremAG" || got[0].Remote != "AzureAG" || got[0].Role != hadr.RolePrimary || !got[0].LocalPrimary ||
		!slices.Equal(got[0].Replicas, []string{"N1", "N2"}) || !slices.Equal(got[0].Databases, []string{"erp"}) {
		t.Errorf("%+v", got)
	}
	if got = groupsOf(replicas, databases, true); len(got) != 1 || got[0].Local != "" {
		t.Errorf("on a case-sensitive server: %+v", got)
	}
}
