package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent"
)

func TestFlocksInOneProcessAreMeasured(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		r, err := Scale(t.Context(), ScaleOptions{
			Agent: agent.Config{Profile: "lan"}, Sizes: []int{3, 7}, Loopback: loopback,
			For: 100 * time.Millisecond, Deaths: 1, Wait: time.Minute, Progress: func(Progress) {},
		})
		require.NoError(t, err)
		require.Empty(t, r.Impossible)
		require.Len(t, r.Flocks, 2)
		for _, c := range r.Flocks {
			require.Equal(t, 1, c.Known.N)
			require.Positive(t, c.JoinMS)
			require.Positive(t, c.AgentSent)
		}
		var b bytes.Buffer
		require.NoError(t, Text(&b, r))
		require.Contains(t, b.String(), "heartbeat 50ms, lease 500ms")
	}
}

func TestScaleGivesUpInTime(t *testing.T) {
	_, err := Scale(t.Context(), ScaleOptions{Sizes: []int{3}, Wait: time.Millisecond, Progress: func(Progress) {}})
	require.ErrorContains(t, err, "3 agents: waited 1ms")
}
