package run

import (
	"math"
	"sync"
	"time"
)

const (
	// latenessFactor times the worst delay that was seen is kept free for the kill.
	latenessFactor = 2
	// latenessHalves is the time in which what was seen counts half.
	latenessHalves = 10 * time.Second
)

// fading is the longest time that was seen, which counts less and less.
type fading struct{ worst, at time.Duration }

func (f *fading) saw(d, now time.Duration) {
	if d >= f.left(now) {
		f.worst, f.at = d, now
	}
}

func (f *fading) left(now time.Duration) time.Duration {
	if f.worst == 0 {
		return 0
	}
	return share(f.worst, math.Exp2(-float64(now-f.at)/float64(latenessHalves)))
}

// lateness is how late this machine lets processes wake, and end.
type lateness struct {
	clock func() time.Duration
	// How long all that runs takes to be gone once it is killed: as was seen of late, and
	// as many as there are at this machine's load. nil: no time. Work is given up for what
	// was seen alone: a guess that is too high would keep it from ever running.
	seen, guess func() time.Duration

	mu     sync.Mutex // guards what follows
	wakes  fading
	length time.Duration // of the lease; 0: not known
	over   bool          // the limit was passed, and what was seen does not yet count less than half of it
}

// saw takes how late a process woke, under a lease of this length.
func (l *lateness) saw(delay, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes.saw(delay, l.clock())
	l.length = length
}

// needs is how much of a lease must be left for the decision to kill.
func (l *lateness) needs() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return latenessFactor * l.wakes.left(l.clock())
}

// sooner is how much earlier than usual work must end, so that all is gone before
// the lease can end: many processes take long, and so does a busy machine.
func (l *lateness) sooner(length time.Duration) time.Duration {
	sooner := max(0, l.needs()-share(length, heirsLeft))
	if l.guess != nil {
		sooner += l.guess()
	}
	return min(sooner, share(length, termLeft+mostSooner-killLeft))
}

// hopeless tells whether kills may come too late whatever is kept free for them.
// It ends at half of the limit: a machine near the limit would start and stop
// work all the time, and move the goose each time.
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
