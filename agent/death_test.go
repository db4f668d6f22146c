package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestASimulatedDeathAnswersNothing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		require.NoError(t, f.agents["b"].Die(0))
		_, err := f.agents["b"].Doctor(context.Background(), time.Second)
		require.ErrorIs(t, err, api.ErrConflict)
		_, err = f.agents["b"].Keys(context.Background())
		require.ErrorContains(t, err, "dead by simulation")
		require.NoError(t, f.agents["b"].Revive())
		f.settle(3)
	})
}
