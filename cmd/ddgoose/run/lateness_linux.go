package run

import (
	"math"
	"sync"
	"time"
)

const (
	// latenessFactor times the worst delay seen is the time kept free for a kill.
	latenessFactor = 2
	// latenessHalves is the time after which a measured delay counts half.
	latenessHalves = 10 * time.Second
)

// decayingMax keeps the longest time seen, and lets it shrink as it gets old.
type decayingMax struct{ worst, at time.Duration }

func (f *decayingMax) saw(d, now time.Duration) {
	if d >= f.left(now) {
		f.worst, f.at = d, now
	}
}

func (f *decayingMax) left(now time.Duration) time.Duration {
	if f.worst == 0 {
		return 0
	}
	return share(f.worst, math.Exp2(-float64(now-f.at)/float64(latenessHalves)))
}

// lateness measures how late processes wake and end on this machine.
type lateness struct {
	clock func() time.Duration
	// The time from a kill until everything is gone: seen is that of recent kills, guess
	// an estimate for the present processes and load. nil: 0. Only seen makes run give up
	// work: a wrong guess could keep work from ever running.
	seen, guess func() time.Duration

	mu     sync.Mutex // guards what follows
	wakes  decayingMax
	length time.Duration // of the lease; 0: not known
	over   bool          // the limit was exceeded, and the value has not yet shrunk to half of the limit
}

// saw takes how late a process woke, under a lease of this length.
func (l *lateness) saw(delay, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes.saw(delay, l.clock())
	l.length = length
}

// needs returns how much of a lease must be left when a kill is decided.
func (l *lateness) needs() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return latenessFactor * l.wakes.left(l.clock())
}

// sooner returns how much earlier than usual work must end, so that everything is gone
// before the lease can end: many processes or a busy machine need longer.
func (l *lateness) sooner(length time.Duration) time.Duration {
	sooner := max(0, l.needs()-share(length, takeoverLeft))
	if l.guess != nil {
		sooner += l.guess()
	}
	return min(sooner, share(length, termLeft+mostSooner-killLeft))
}

// hopeless reports whether kills may come too late however much time is kept free. It
// becomes false again at half of the limit: otherwise a machine near the limit would start
// and stop work all the time, and move the goose each time.
func (l *lateness) hopeless() bool {
	need := l.needs()
	if l.seen != nil {
		need += l.seen()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := share(l.length, termLeft+mostSooner-hurryLeft)
	if l.over {
		limit /= 2
	}
	l.over = l.length != 0 && need > limit
	return l.over
}
