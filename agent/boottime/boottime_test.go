package boottime

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBootClockNeverRunsBackNorBehindTheMonotonicOne(t *testing.T) {
	last := Now()
	require.Positive(t, last)
	for range 1000 {
		monotonic := Monotonic()
		now := Now()
		require.GreaterOrEqual(t, now, last)
		require.GreaterOrEqual(t, now, monotonic, "it counts sleep as well")
		last = now
	}
}
