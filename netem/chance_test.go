package netem

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The seeds are fixed, so these tests give the same numbers each time; the
// bounds are four standard deviations of what a right emulator would give.
const packets = 100_000

func emulate(t *testing.T, rules string, size int, every time.Duration, each func(i int, v Verdict)) Counters {
	t.Helper()
	e := New(42)
	e.Set(mustParse(t, rules))
	for i := range packets {
		each(i, e.Packet(time.Duration(i)*every, Out, peerB, size))
	}
	return e.Counters()
}

// near checks a count of events that each have probability p.
func near(t *testing.T, p float64, count uint64) {
	t.Helper()
	bound := 4 * math.Sqrt(p*(1-p)/packets)
	require.InDelta(t, p, float64(count)/packets, bound)
}

func ignore(int, Verdict) {}

func TestEachFaultStrikesAsOftenAsItSays(t *testing.T) {
	near(t, 0.3, emulate(t, "*: loss 30%", 100, 0, ignore).Lost)
	near(t, 0.005, emulate(t, "*: loss 0.5%", 100, 0, ignore).Lost)
	near(t, 0.1, emulate(t, "*: duplicate 10%", 100, 0, ignore).Duplicated)
	near(t, 0.02, emulate(t, "*: corrupt 2%", 100, 0, ignore).Corrupted)
	c := emulate(t, "*: delay 10ms reorder 25%", 100, 0, ignore)
	near(t, 0.25, c.Reordered)
	require.EqualValues(t, packets, c.Reordered+c.Delayed)
	require.Zero(t, emulate(t, "*: loss 0% duplicate 0% corrupt 0%", 100, 0, ignore))
	require.EqualValues(t, packets, emulate(t, "*: loss 100%", 100, 0, ignore).Lost)
}

func TestLossOfBothDirectionsAndLinksIsIndependent(t *testing.T) {
	e := New(42)
	e.Set(mustParse(t, "*: loss 50%"))
	var together [4]uint64
	for range packets {
		out, in := e.Packet(0, Out, peerB, 1).Drop, e.Packet(0, In, peerB, 1).Drop
		other := e.Packet(0, Out, peerA, 1).Drop
		for i, both := range []bool{out && in, out && other, in && other, out && in && other} {
			if both {
				together[i]++
			}
		}
	}
	for _, n := range together[:3] {
		near(t, 0.25, n)
	}
	near(t, 0.125, together[3])
}

func TestGilbertElliottLosesInBursts(t *testing.T) {
	// P 1 %, R 25 %: bad for 1/26 of the time, in bursts of 4 packets on average.
	var bursts, lost, run int
	longest := 0
	emulate(t, "*: loss gemodel 1% 25%", 100, 0, func(_ int, v Verdict) {
		if !v.Drop {
			run = 0
			return
		}
		if run == 0 {
			bursts++
		}
		run++
		lost++
		longest = max(longest, run)
	})
	require.InDelta(t, 1.0/26, float64(lost)/packets, 0.004)
	require.InDelta(t, 4, float64(lost)/float64(bursts), 0.4)
	require.Greater(t, longest, 15)

	// With 1-H and 1-K both states lose a part: 10/11 good at 10 %, 1/11 bad at 60 %.
	c := emulate(t, "*: loss gemodel 5% 50% 60% 10%", 100, 0, ignore)
	require.InDelta(t, 10.0/11*0.1+1.0/11*0.6, float64(c.Lost)/packets, 0.006)
}

// delays returns mean, deviation and correlation of neighbours, in milliseconds.
func delays(t *testing.T, rules string) (mean, deviation, correlation, least, most float64) {
	all := make([]float64, 0, packets)
	emulate(t, rules, 100, 0, func(_ int, v Verdict) { all = append(all, v.Delay.Seconds()*1e3) })
	least, most = all[0], all[0]
	for _, d := range all {
		mean += d / packets
		least, most = min(least, d), max(most, d)
	}
	var variance, covariance float64
	for i, d := range all {
		variance += (d - mean) * (d - mean) / packets
		if i > 0 {
			covariance += (d - mean) * (all[i-1] - mean) / packets
		}
	}
	return mean, math.Sqrt(variance), covariance / variance, least, most
}

func TestDelaysHaveTheirMeanSpreadAndCorrelation(t *testing.T) {
	mean, dev, corr, least, most := delays(t, "*: delay 40ms 30ms")
	require.InDelta(t, 40, mean, 0.25)
	require.InDelta(t, 30/math.Sqrt(3), dev, 0.2)
	require.InDelta(t, 0, corr, 0.015)
	require.True(t, least >= 10 && least < 10.1, least)
	require.True(t, most <= 70 && most > 69.9, most)

	mean, dev, corr, least, most = delays(t, "*: delay 100ms 10ms distribution normal")
	require.InDelta(t, 100, mean, 0.15)
	require.InDelta(t, 10, dev, 0.12)
	require.InDelta(t, 0, corr, 0.015)
	require.True(t, least < 65 && least >= 40, least)
	require.True(t, most > 135 && most <= 160, most)

	mean, dev, corr, _, _ = delays(t, "*: delay 100ms 10ms 75% distribution normal")
	require.InDelta(t, 100, mean, 0.4)
	require.InDelta(t, 10, dev, 0.3, "correlation leaves the spread alone")
	require.InDelta(t, 0.75, corr, 0.02)

	mean, _, _, least, _ = delays(t, "*: delay 0s 10ms")
	require.InDelta(t, 2.5, mean, 0.1, "half of the packets would go before they came")
	require.Zero(t, least)
}

func TestRateLetsThroughWhatItSays(t *testing.T) {
	// 1000 bytes every millisecond are 8mbit; the link carries half of that.
	var last time.Duration
	c := emulate(t, "*: rate 4mbit", 1000, time.Millisecond, func(i int, v Verdict) {
		if v.Drop {
			return
		}
		at := time.Duration(i)*time.Millisecond + v.Delay
		if at < last || v.Delay > MaxQueue {
			t.Fatalf("packet %d goes at %v, the one before it at %v: want the queue's order and bound", i, at, last)
		}
		last = at
	})
	passed := packets - c.Queue
	require.InDelta(t, 0.5, float64(passed)/packets, 0.01, "half passes, and one queue's worth more")
	require.Positive(t, c.Delayed)

	// A link that is not full delays nobody.
	require.Zero(t, emulate(t, "*: rate 9mbit", 1000, time.Millisecond, ignore))
}

func TestFlipTurnsOneBit(t *testing.T) {
	n := 0
	emulate(t, "*: corrupt 100%", 4, 0, func(_ int, v Verdict) {
		b := make([]byte, 4)
		v.Flip(b)
		ones := 0
		for _, c := range b {
			for ; c != 0; c &= c - 1 {
				ones++
			}
		}
		if ones == 1 {
			n++
		}
	})
	require.Equal(t, packets, n, "each has one bit flipped")
	require.Zero(t, emulate(t, "*: corrupt 100%", 0, 0, ignore), "an empty packet has no bit to flip")
}
