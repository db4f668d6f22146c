package member

import (
	"math"
	"math/bits"
	"time"

	"duckduckgoose/agent/election"
)

// path is what a goose knows of the way to a voter and back.
type path struct {
	id       election.ID
	round    uint64 // the last one sent
	sent     int    // rounds in answers, up to 64
	answered uint64 // bit i: round-i was answered
	rtt      time.Duration
	hour     hour
}

// hour keeps the windows of the last hour, and the one that has begun.
type hour [13]window

const windowLength = 5 * time.Minute

// window is what happened in one window of time.
type window struct {
	number       int64
	worst        time.Duration // the longest delay
	sent, missed uint32        // heartbeats, and those without an answer
}

func (h *hour) now(now time.Duration) *window {
	number := int64(now/windowLength) + 1
	w := &h[number%int64(len(h))]
	if w.number != number {
		*w = window{number: number}
	}
	return w
}

// each calls do for every window of the last hour.
func (h *hour) each(now time.Duration, do func(*window)) {
	first := int64(now/windowLength) + 2 - int64(len(h))
	for i := range h {
		if h[i].number >= max(first, 1) {
			do(&h[i])
		}
	}
}

func (h *hour) add(now, delay time.Duration) {
	w := h.now(now)
	w.worst = max(w.worst, delay)
}

func (h *hour) worst(now time.Duration) (worst time.Duration) {
	h.each(now, func(w *window) { worst = max(worst, w.worst) })
	return worst
}

// lost returns the share of heartbeats without an answer: that of the worst window of the
// last hour, or of the last 64 or 16 heartbeats if chance alone would not lose so many more.
func (v *path) lost(now time.Duration, pace election.Pace) (share float64) {
	v.hour.each(now, func(w *window) {
		if w.sent >= 250 {
			share = max(share, float64(w.missed)/float64(w.sent))
		}
	})
	known := share
	young := int(max(2*v.rtt/pace.Heartbeat+2, pace.Lease/pace.Heartbeat)) // these may be answered yet
	for _, last := range [...]struct{ rounds, least int }{{16, 6}, {64, 8}} {
		rounds := min(v.sent-young, last.rounds)
		if rounds < 16 {
			continue
		}
		missed := bits.OnesCount64(^v.answered >> young << (64 - rounds))
		now := float64(missed) / float64(rounds)
		if missed >= last.least && now > known+5*math.Sqrt(known*(1-known)/float64(rounds)) {
			share = max(share, now)
		}
	}
	return min(max(share, leastLoss), 1)
}

// silent reports whether the voter has answered nothing for long.
func (v *path) silent() bool { return v.rtt == 0 || v.sent >= 32 && v.answered == 0 }
