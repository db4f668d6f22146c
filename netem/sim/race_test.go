//go:build race

package sim

import (
	"testing"
	"time"

	"duckduckgoose/netem/schedule"

	"github.com/stretchr/testify/require"
)

// TestRunsShareNothing is all that the race detector is there for: a run has one goroutine, and only
// Many has several. The other tests take ten times as long under it, and run without it.
func TestRunsShareNothing(t *testing.T) {
	Many(1, 2, 2, schedule.Plan{For: 5 * time.Second}, func(seed uint64, r Result) bool {
		require.NoError(t, r.Err, "seed %d", seed)
		return true
	})
}
