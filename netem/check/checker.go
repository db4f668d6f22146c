package check

import (
	"cmp"
	"fmt"
	"time"
)

// Checker checks events, which it takes in order of time. It continues after a
// violation, so that a report can show what followed.
type Checker struct {
	now    time.Duration
	flocks map[flockKey]*flock
	disks  map[diskKey]Record // the last one shown
	goose  presence           // of the default election
	drawn  int                // number of events seen
}

// flockKey names one election of a flock. The promises hold for each election.
type flockKey struct{ flock, election string }

// New returns a checker that has seen nothing.
func New() *Checker {
	return &Checker{flocks: map[flockKey]*flock{}, disks: map[diskKey]Record{}}
}

// See checks one event and returns the violation, nil for none. It panics if the
// caller passes events out of order.
func (c *Checker) See(e Event) *Violation {
	if e.At < c.now {
		panic(fmt.Sprintf("check: event at %v after one at %v: %v", e.At, c.now, e))
	}
	c.now = e.At
	c.drawn++
	overdue := c.goose.advance(e.At)
	return cmp.Or(c.take(&e), overdue)
}

func (c *Checker) take(e *Event) *Violation {
	switch e.Kind {
	case Led:
		return c.flock(e).lead(e)
	case Published:
		if e.Until <= e.At { // it ran out before anybody could read it
			c.retract(e)
			return nil
		}
		v := c.flock(e).grant(e, readers)
		if e.Election == "" {
			c.goose.covered(e.Agent, e.At, e.Until)
		}
		return v
	case Retracted:
		c.retract(e)
	case Answered:
		return c.flock(e).answer(e)
	case HandedOut:
		if e.Until <= e.At {
			c.flock(e).release(e.Agent, e.Holder)
			return nil
		}
		return c.flock(e).grant(e, e.Holder)
	case Drained:
		c.flock(e).release(e.Agent, e.Holder)
	case Recorded:
		return cmp.Or(c.record(e), c.flock(e).config(e))
	case Agreed:
		return c.flock(e).agree(e)
	case Began:
		return c.flock(e).marks.begin(e)
	case Raised:
		return c.flock(e).marks.commit(e)
	case Due:
		c.goose.due(e.At, e.Bound)
	case Excused:
		c.goose.excuse()
	default:
		panic(fmt.Sprintf("check: event of kind %d", e.Kind))
	}
	return nil
}

func (c *Checker) retract(e *Event) {
	c.flock(e).release(e.Agent, readers)
	if e.Election == "" {
		c.goose.uncovered(e.Agent, e.At)
	}
}

// End ends the run and returns a violation if a goose is overdue.
func (c *Checker) End(now time.Duration) *Violation {
	c.now = max(c.now, now)
	return c.goose.advance(now)
}

// Seen returns how many events there were.
func (c *Checker) Seen() int { return c.drawn }

// Periods counts the goose periods of all flocks and elections: the terms in which
// somebody saw an agent be the goose.
func (c *Checker) Periods() int {
	n := 0
	for _, f := range c.flocks {
		n += f.periods
	}
	return n
}

// Gaps returns the times without a goose that have ended, without the wait for the
// first goose, and their sum.
func (c *Checker) Gaps() (gaps []time.Duration, total time.Duration) {
	return c.goose.gaps, c.goose.total
}

// Goose reports whether readers see a goose now.
func (c *Checker) Goose(now time.Duration) bool { return c.goose.end() > now }

func (c *Checker) flock(e *Event) *flock {
	k := flockKey{e.Flock, e.Election}
	f := c.flocks[k]
	if f == nil {
		f = &flock{leaders: map[uint64]string{}, configs: map[configKey]Config{}}
		c.flocks[k] = f
	}
	return f
}

func broken(promise string, e *Event, format string, args ...any) *Violation {
	return &Violation{Promise: promise, At: e.At, Text: fmt.Sprintf(format, args...)}
}
