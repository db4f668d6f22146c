package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem"
)

func TestClocksRunAtTheirRateAndBack(t *testing.T) {
	d := netem.NewDice(1, netem.Out, "clock")
	for range 2000 {
		c := clock{}
		c.reboot(d.Below(time.Hour), d.Below(100*time.Hour))
		c.ppm = int64(d.Uint64()%20_001) - 10_000
		now := c.from + d.Below(300*time.Hour)
		l := c.now(now)
		want := float64(c.boot) + float64(now-c.from)*(1+float64(c.ppm)/million)
		require.InDelta(t, want, float64(l), 2e3, "within 2 µs in 300 h")
		at := c.at(now+d.Below(time.Hour), l)
		require.GreaterOrEqual(t, c.now(at), l)
		require.Less(t, c.now(at-1), l)
		require.InDelta(t, float64(now), float64(at), 2)
	}
}

func TestRatesChangeWithoutAJump(t *testing.T) {
	c := clock{}
	c.reboot(0, time.Minute)
	c.setRate(10*time.Second, 10_000)
	require.Equal(t, 70*time.Second, c.now(10*time.Second))
	require.Equal(t, 70*time.Second+101*time.Second, c.now(110*time.Second))
	c.setRate(110*time.Second, -10_000)
	require.Equal(t, 171*time.Second+99*time.Second, c.now(210*time.Second))
}
