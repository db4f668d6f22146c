package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestEnvironmentNamesTheElectionUnlessItIsTheDefault(t *testing.T) {
	t.Setenv("DDGOOSE_ELECTION", "another") // of a run that this one is below
	s := api.Status{Name: "a", FlockID: "f"}
	g := &guard{hello: hello{Socket: "a.sock", Election: "backup"}}
	require.Contains(t, g.environment(s, 9), "DDGOOSE_ELECTION=backup")
	require.NotContains(t, g.environment(s, 9), "DDGOOSE_ELECTION=another")
	g.Election = ""
	for _, kv := range g.environment(s, 9) {
		require.NotContains(t, kv, "DDGOOSE_ELECTION")
	}
	require.Contains(t, g.environment(s, 9), "DDGOOSE_TOKEN=9")
}
