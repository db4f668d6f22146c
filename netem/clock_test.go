package netem

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClocksRunAtTheirRateAndBack(t *testing.T) {
	d := NewRandom(1, Out, "clock")
	for range 2000 {
		c := Clock{}
		c.Reboot(d.Below(time.Hour), d.Below(100*time.Hour))
		c.PPM = int64(d.Uint64()%20_001) - 10_000
		now := c.from + d.Below(300*time.Hour)
		l := c.Now(now)
		want := float64(c.boot) + float64(now-c.from)*(1+float64(c.PPM)/million)
		require.InDelta(t, want, float64(l), 2e3, "within 2 µs in 300 h")
		at := c.At(now+d.Below(time.Hour), l)
		require.GreaterOrEqual(t, c.Now(at), l)
		require.Less(t, c.Now(at-1), l)
		require.InDelta(t, float64(now), float64(at), 2)
	}
}

func TestRatesChangeWithoutAJump(t *testing.T) {
	c := Clock{}
	c.Reboot(0, time.Minute)
	c.SetRate(10*time.Second, 10_000)
	require.Equal(t, 70*time.Second, c.Now(10*time.Second))
	require.Equal(t, 70*time.Second+101*time.Second, c.Now(110*time.Second))
	c.SetRate(110*time.Second, -10_000)
	require.Equal(t, 171*time.Second+99*time.Second, c.Now(210*time.Second))
}
