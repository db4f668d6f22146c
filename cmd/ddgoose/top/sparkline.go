package top

import (
	"slices"
	"strings"
	"time"
)

// sparklineSeconds is how many seconds of round trips are kept.
const sparklineSeconds = 60

// sparkline keeps an agent's round trips: the longest of each second.
type sparkline struct {
	newest int64 // a Unix second
	rtt    [sparklineSeconds]time.Duration
}

// unmeasured is a second without a round trip; 0 is a second without a picture.
const unmeasured = time.Duration(-1)

// add records a round trip, or unmeasured, at a moment that is later than all before.
func (t *sparkline) add(at time.Time, d time.Duration) {
	second := at.Unix()
	for t.newest = max(t.newest, second-sparklineSeconds); t.newest < second; {
		t.newest++
		t.rtt[t.newest%sparklineSeconds] = 0
	}
	if now := &t.rtt[second%sparklineSeconds]; *now == 0 || d > *now {
		*now = d
	}
}

// measured reports whether any round trip is known.
func (t *sparkline) measured() bool { return slices.Max(t.rtt[:]) > 0 }

// draw returns width signs up to a moment, each for the longest round trip of its seconds.
// Each sign keeps its seconds until all signs move by one.
func (t *sparkline) draw(at time.Time, width int, g *glyphs) string {
	step := int64(max(1, sparklineSeconds/width))
	from := (at.Unix()/step + 1 - int64(width)) * step
	var b strings.Builder
	for range width {
		longest := time.Duration(0)
		for s := from; s < from+step; s++ {
			if s > t.newest-sparklineSeconds && s <= t.newest {
				if d := t.rtt[s%sparklineSeconds]; d > longest || d != 0 && longest == 0 {
					longest = d
				}
			}
		}
		switch {
		case longest > 0:
			b.WriteString(g.steps[rung(longest)])
		case longest == unmeasured:
			b.WriteString(g.gap)
		default:
			b.WriteString(" ")
		}
		from += step
	}
	return b.String()
}

// rungs are the round trips at which the next sign begins.
var rungs = []time.Duration{
	100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond, 3 * time.Millisecond,
	10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond,
}

// rung returns the sign of a round trip. Signs mean the same in every row and at every time.
func rung(d time.Duration) int {
	i, same := slices.BinarySearch(rungs, d)
	if same {
		i++
	}
	return i
}

// roundTrips are the roundTrips of all agents, by name.
type roundTrips map[string]sparkline

// add records the round trips of a picture, and drops agents that are not in it.
func (all roundTrips) add(p *Picture) roundTrips {
	next := make(roundTrips, len(p.Agents)) // what a paused screen shows stays as it is
	for i := range p.Agents {
		a := &p.Agents[i]
		t := all[a.Name]
		switch {
		case a.RTT != nil:
			t.add(p.At, max(*a.RTT, 1))
		case a.Name != p.From: // it needs no path to itself
			t.add(p.At, unmeasured)
		}
		next[a.Name] = t
	}
	return next
}
