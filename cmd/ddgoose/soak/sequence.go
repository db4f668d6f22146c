package soak

import (
	"slices"
	"sync"
	"time"

	"duckduckgoose/netem/check"
)

const (
	// sequenceTick is the pause between two inputs of the checker.
	sequenceTick = 100 * time.Millisecond
	// sequenceTicks is how many ticks an event waits for earlier ones that are still on
	// their way. It counts ticks and no time: when this whole process was stalled, they
	// have as many ticks as ever to arrive.
	sequenceTicks = 50
	// maxViolations bounds the violations that are kept.
	maxViolations = 200
)

// sequence merges the events of many sources in order of time for the checker.
type sequence struct {
	start time.Duration // of the run; the checker's times count from it

	mu         sync.Mutex        // guards what follows
	events     []check.Event     // in order of time
	owners     map[uint64]string // by token: the first agent that was named as its leader
	checker    *check.Checker
	marks      []time.Duration // of the last ticks
	fed        time.Duration   // events up to here were passed on
	late       int             // events that came too late to be checked
	violations []check.Violation
}

func newSequence(start time.Duration) *sequence {
	return &sequence{start: start, checker: check.New(), owners: map[uint64]string{}}
}

// push takes an event from any source. An event without an agent belongs to the agent
// that has its token.
func (q *sequence) push(e check.Event) {
	e.At, e.Since, e.Until = e.At-q.start, e.Since-q.start, e.Until-q.start
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.At < q.fed {
		q.late++
		return
	}
	if _, known := q.owners[e.Token]; e.Kind == check.Led && !known {
		q.owners[e.Token] = e.Agent
	}
	at, _ := slices.BinarySearchFunc(q.events, e.At, func(o check.Event, at time.Duration) int {
		if o.At <= at { // at the same moment, the first to arrive goes first
			return -1
		}
		return 1
	})
	q.events = slices.Insert(q.events, at, e)
}

// tick passes on the events before the oldest remembered tick.
func (q *sequence) tick(now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.marks = append(q.marks, now-q.start)
	if len(q.marks) > sequenceTicks {
		q.feed(q.marks[0])
		q.marks = q.marks[1:]
	}
}

// finish passes on the rest.
func (q *sequence) finish(now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.feed(now - q.start)
	q.note(q.checker.End(now - q.start))
}

func (q *sequence) feed(until time.Duration) {
	for len(q.events) > 0 && q.events[0].At <= until {
		e := q.events[0]
		q.events = q.events[1:]
		if e.Agent == "" && e.Token != 0 {
			if e.Agent = q.owners[e.Token]; e.Agent == "" {
				q.late++ // no agent was ever named for its token
				continue
			}
		}
		q.note(q.checker.See(e))
	}
	q.fed = max(q.fed, until)
}

func (q *sequence) note(v *check.Violation) {
	if v != nil && len(q.violations) < maxViolations {
		q.violations = append(q.violations, *v)
	}
}

// found returns the violations up to now.
func (q *sequence) found() []check.Violation {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.violations)
}

// counts returns the numbers of checked events, of events that came too late, and of
// goose periods.
func (q *sequence) counts() (seen, late, periods int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.checker.Seen(), q.late, q.checker.Periods()
}
