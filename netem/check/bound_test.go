package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/check"
)

func TestBoundIsTwoLeasesStaggerRoundTripsAndAHeartbeat(t *testing.T) {
	b := check.Bound{Lease: 500 * time.Millisecond, Heartbeat: 50 * time.Millisecond}
	require.Equal(t, 1076250*time.Microsecond, b.Within(5), "ranks are 5 ms apart at least")
	b.RTT, b.Wait = 20*time.Millisecond, time.Second
	require.Equal(t, 2*b.Lease+5*50*time.Millisecond+12500*time.Microsecond+100*time.Millisecond+b.Heartbeat+b.Wait, b.Within(5))
}
