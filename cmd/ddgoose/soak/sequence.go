package soak

import (
	"slices"
	"sync"
	"time"

	"duckduckgoose/netem/check"
)

const (
	// sequenceTick is how often the checker is fed.
	sequenceTick = 100 * time.Millisecond
	// sequenceTicks is how many ticks an event waits for earlier ones that are
	// still on their way. Ticks, not time: when this whole process was
	// stalled, what is on its way gets as long as ever to arrive.
	sequenceTicks = 50
	// maxViolations bounds what is kept of a flock that is utterly broken.
	maxViolations = 200
)

// sequence feeds the checker in order of time with what many sources tell.
type sequence struct {
	start time.Duration // of the run: the checker's times count from it

	mu         sync.Mutex        // guards what follows
	events     []check.Event     // in order of time
	owners     map[uint64]string // token -> the agent that was first said to have led it
	checker    *check.Checker
	marks      []time.Duration // of the last ticks
	fed        time.Duration   // everything up to here
	late       int             // events that came too late to be judged
	violations []check.Violation
}

func newSequence(start time.Duration) *sequence {
	return &sequence{start: start, checker: check.New(), owners: map[uint64]string{}}
}

// push takes an event from anywhere. One without an agent is of the agent
// that its token is of.
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
		if o.At <= at { // of one moment the first to arrive goes first
			return -1
		}
		return 1
	})
	q.events = slices.Insert(q.events, at, e)
}

// tick feeds what happened before the oldest tick that is remembered.
func (q *sequence) tick(now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.marks = append(q.marks, now-q.start)
	if len(q.marks) > sequenceTicks {
		q.feed(q.marks[0])
		q.marks = q.marks[1:]
	}
}

// finish feeds the rest.
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
				q.late++ // nobody has ever named whose token that is
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

// found returns the violations so far.
func (q *sequence) found() []check.Violation {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.violations)
}

// counts returns how many events were judged, and how many came too late for it.
func (q *sequence) counts() (seen, late, periods int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.checker.Seen(), q.late, q.checker.Periods()
}
