package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnAgentIsBusyWithManyConnectionsOrAgents(t *testing.T) {
	for _, c := range []struct {
		was          bool
		conns, peers int
		calm         bool
	}{
		{false, 0, 0, true},
		{true, 16, 32, true},
		{true, 17, 5, false},
		{true, 1, 33, false},
		{false, 9, 5, false}, // it does not change to and fro
		{false, 8, 16, true},
		{false, 1, 17, false},
	} {
		require.Equal(t, c.calm, isCalm(c.was, c.conns, c.peers), "%+v", c)
	}
}
