package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGapsAndTheirCauses(t *testing.T) {
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	periods := []GoosePeriod{
		{"a", 1, s(0), s(10)},
		{"b", 2, s(10.5), s(20)},  // a crashed
		{"b", 2, s(20.01), s(30)}, // only our asking parted it
		{"c", 3, s(30.02), s(40)}, // b stepped down
		{"c", 3, s(40.4), s(50)},  // lapsed and earned back, in a partition
		{"d", 4, s(50.3), s(60)},  // two ducks crashed
		{"e", 5, s(60.6), s(70)},  // nothing near, but the machine stalled
		{"a", 6, s(70.7), s(80)},  // nothing at all
	}
	struck := []*Struck{
		{Kind: "crash", Agent: "a", From: s(9.9), To: s(12)},
		{Kind: "pause", Agent: "c", From: s(9.95), To: s(12)},
		{Kind: "step-down", Agent: "b", From: s(29.99), To: s(30.1)},
		{Kind: "partition", From: s(39), To: s(41)},
		{Kind: "crash", Agent: "c", From: s(38), To: s(38.1), Skipped: "no"},
		{Kind: "crash", Agent: "a", From: s(49.5), To: s(52)},
		{Kind: "pause-writer", Agent: "d", From: s(59.5), To: s(61)},
	}
	gaps := gapsOf(joined(periods), struck, []Stall{{s(59.8), s(60.3)}}, 500*time.Millisecond, s(81))
	type told struct {
		cause    string
		failover bool
		lasts    time.Duration
	}
	var got []told
	for i := range gaps {
		got = append(got, told{gaps[i].Cause, gaps[i].Failover, gaps[i].Lasts().Round(time.Millisecond)})
	}
	require.Equal(t, []told{
		{"crash of the goose", true, ms(500)},
		{"step-down of the goose", true, ms(20)},
		{"partition", false, ms(400)},
		{"crash of others", true, ms(300)},
		{byStall, true, ms(600)},
		{noCause, true, ms(700)},
		{noCause, false, ms(1000)},
	}, got)

	causes := byCause(gaps)
	require.Len(t, causes, 6)
	require.Equal(t, noCause, causes[0].Cause, "the costliest first")
	require.Empty(t, gapsOf(nil, nil, nil, 0, 0))
}

func TestLeaksAreFoundInLongLives(t *testing.T) {
	life := func(pid int, n int, rss func(i int) float64, goroutines func(i int) int) (all []Sample) {
		for i := range n {
			all = append(all, Sample{At: time.Duration(i) * resourcesEvery, PID: pid, RSS: rss(i), Goroutines: goroutines(i)})
		}
		return all
	}
	flat := func(int) float64 { return 20 }
	warm := func(i int) float64 { return min(10+float64(i), 25) }
	grows := func(i int) float64 { return 20 + float64(i)/10 }
	few := func(int) int { return 25 }
	more := func(i int) int { return 25 + i/3 }
	for name, tt := range map[string]struct {
		samples []Sample
		what    []string
		judged  int
	}{
		"flat":              {life(1, 300, flat, few), nil, 1},
		"warms up":          {life(1, 300, warm, few), nil, 1},
		"memory":            {life(1, 300, grows, few), []string{"memory in MB"}, 1},
		"goroutines":        {life(1, 300, flat, more), []string{"goroutines"}, 1},
		"short lives":       {append(life(1, 100, grows, more), life(2, 100, grows, more)...), nil, 0},
		"one of two leaked": {append(life(1, 300, flat, few), life(2, 300, grows, few)...), []string{"memory in MB"}, 2},
	} {
		found, judged := leaks("a", tt.samples)
		var what []string
		for _, l := range found {
			what = append(what, l.What)
		}
		require.Equal(t, tt.what, what, name)
		require.Equal(t, tt.judged, judged, name)
	}
}

func TestVerdictIsTheGravest(t *testing.T) {
	p := func(promise string) Violation { return Violation{Promise: promise} }
	for want, r := range map[string]*Report{
		Good:    {},
		Leaking: {Leaks: []Leak{{}}},
		Unalive: {Leaks: []Leak{{}}, Violations: []Violation{p("P5")}},
		Crashed: {Crashes: []Crash{{}}, Violations: []Violation{p("P4")}},
		Unsafe:  {Crashes: []Crash{{}}, Violations: []Violation{p("P4"), p("P6")}},
	} {
		r.judge()
		require.Equal(t, want, r.Verdict)
	}
}
