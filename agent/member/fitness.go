package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// Health is the result of the check of the work.
type Health uint8

// The zero Health: no check is configured.
const (
	Unchecked Health = iota
	Well
	Unwell
)

const (
	// workFor is how long an agent must have had work before a goose without work hands
	// over to it, and how long that goose must have had no work (rule 28).
	workFor = time.Second
	// fitterEvery is the pause between two attempts to hand over to a fitter agent: a
	// failed one interrupts the goose's work for a moment. An unwell goose that was well
	// again in time, or gave up the lead and was elected again, does not wait. Work that does not answer is more
	// urgent: there the pause starts at zero and doubles from a lease, and starts again if
	// there was none for this long.
	fitterEvery = 10 * time.Second
)

// tellFitness tells the node how fit this agent is to lead (rule 28).
func (e *Election) tellFitness(h Holders) {
	var own election.Fitness
	if h.haveWork() {
		own |= election.HasWork
	}
	if h.Health == Unwell {
		own |= election.Unwell
	}
	if e.health != h.Health {
		e.health = h.Health
		e.touch()
		e.m.LookNow()
	}
	if own != e.fitness {
		e.fitness = own
		e.step(election.Fit{Fitness: own})
		e.m.LookNow()
	}
}

// yieldToFitter makes the goose hand over if it is unwell, or if it has no work and
// another well agent has some (rule 28). Work that does not answer does not count.
func (e *Election) yieldToFitter(now time.Duration) {
	m := e.m
	silent := false
	if e.node.Role() == election.Leader {
		holders := e.local.Holders() // silence is not reported: look
		e.tellFitness(holders)
		silent = holders.Silent > 0 && e.fitness&election.Unwell == 0
	}
	if e.fitness&election.HasWork != 0 {
		e.workedAt = now
	}
	at, patience := e.fitterAt, workFor
	if silent {
		at, patience = e.silentAt, workFor-m.set.Lease // it has been silent for a lease already
	}
	if e.handover != nil || m.stop.started || m.leaving != nil || now < at || m.FrozenFor(now) > 0 ||
		e.node.Role() != election.Leader || e.node.HandingOver() || e.node.Lease().Until <= now {
		return
	}
	cause := EventUnwell
	var to election.ID
	switch {
	case e.fitness&election.Unwell != 0:
		to = e.heir(now)
	case now-e.workedAt >= patience:
		cause, to = EventFollowsWork, e.withWork(now)
		if to.IsZero() {
			return
		}
	default:
		return
	}
	e.fitterAt = now + fitterEvery
	if silent {
		if now-e.silentAt >= fitterEvery {
			e.silentPause = 0
		}
		e.silentAt = now + e.silentPause
		e.silentPause = min(max(m.set.Lease, 2*e.silentPause), fitterEvery)
	}
	m.host.Tell(Event{Kind: cause, Election: e.name, Peer: to})
	unwell := cause == EventUnwell
	e.beginHandover(handover{cause: SteppedDown, to: to, stop: unwell, unwell: unwell, done: func(goose election.ID, err error) {
		if unwell && (goose == m.id || e.node.Role() != election.Leader) {
			e.fitterAt = 0
		}
		switch {
		case goose == m.id:
			m.host.Tell(Event{Kind: EventWellAgain, Election: e.name})
		case err != nil:
			m.host.Tell(Event{Kind: EventNotYielded, Election: e.name, Err: err})
		}
	}})
}

// withWork returns the voter that ranks first, if it is well, has had work for long
// enough and can take over; zero: none.
func (e *Election) withWork(now time.Duration) (best election.ID) {
	config, first := e.node.Record().Config, e.node.Successor(now)
	e.contacts = e.node.Contacts(e.contacts[:0])
	for _, c := range e.contacts {
		if c.WorkAt == 0 || now-c.WorkAt < workFor || !e.canTakeOver(now, &config, &c) {
			continue
		}
		if best.IsZero() || c.ID == first {
			best = c.ID
		}
	}
	return best
}

// canTakeOver reports whether this election can be handed to a voter now.
func (e *Election) canTakeOver(now time.Duration, config *election.Config, c *election.Contact) bool {
	if e.number != 0 {
		if does, _ := e.ContestedBy(c.ID); !does {
			return false
		}
	}
	return mayLead(config, c.ID) && c.Answers(now, e.span()) && c.Fitness&election.Unwell == 0
}
