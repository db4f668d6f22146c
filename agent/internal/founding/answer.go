package founding

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// Receive handles a message of the protocol.
func (f *Founder) Receive(now time.Duration, from election.ID, w *wire.Founding) (fx Effects) {
	switch w.Kind {
	case wire.FoundPropose:
		f.consider(from, w, &fx)
	case wire.FoundAccept:
		switch {
		case f.coordinates() && w.FlockID == f.durable.FlockID && slices.Contains(f.durable.Set, from):
			if f.proposed != 0 && !f.founded {
				f.accepted[from] = true
				f.press(now, &fx)
			}
		case w.Attempt <= f.durable.Aborted && asks(w, f.set.Self):
			fx.Send = append(fx.Send, release(from, w))
		}
	case wire.FoundRefuse:
		if f.coordinates() && f.proposed != 0 && !f.founded && w.FlockID == f.durable.FlockID {
			f.abort(now, &fx)
			f.retryAt = now + 5*foundRetry
		}
	case wire.FoundAbort:
		if f.Bound() && f.durable.Coordinator == from && from != f.set.Self && w.Attempt >= f.durable.Attempt {
			f.durable, f.waitsSince = store.Founding{Attempt: f.durable.Attempt, Aborted: max(w.Attempt, f.durable.Aborted)}, 0
			f.keep(&fx)
		}
	}
	return fx
}

// Elsewhere answers an agent that still waits for this one's founding. ok says that
// there is an answer: this agent is in another flock now, and will never found that one.
func Elsewhere(self, from election.ID, w *wire.Founding) (word Word, ok bool) {
	if w.Kind != wire.FoundAccept || !asks(w, self) {
		return Word{}, false
	}
	return release(from, w), true
}

// asks reports whether an acceptance answers a proposal of self: the lowest id coordinates.
func asks(w *wire.Founding, self election.ID) bool { return len(w.Set) > 0 && w.Set[0] == self }

// release returns the message that ends an acceptance.
func release(to election.ID, w *wire.Founding) Word {
	word := wire.Founding{Kind: wire.FoundAbort, FlockID: w.FlockID, Attempt: w.Attempt, Expect: w.Expect, Set: slices.Clone(w.Set)}
	return Word{to, word}
}

// consider answers a proposal. A higher attempt of the same coordinator shows that
// it has durably aborted the lower ones.
func (f *Founder) consider(from election.ID, w *wire.Founding, fx *Effects) {
	if len(w.Set) == 0 || w.Set[0] != from || !slices.Contains(w.Set, f.set.Self) || f.founded {
		return
	}
	reply := wire.Founding{Kind: wire.FoundAccept, FlockID: w.FlockID, Attempt: w.Attempt, Expect: f.set.Expect, Set: slices.Clone(w.Set)}
	answer := func() { fx.Send = append(fx.Send, Word{from, reply}) }
	refuse := func(reason uint8) {
		reply.Kind, reply.Reason = wire.FoundRefuse, reason
		answer()
	}
	ids, ok := f.matching()
	switch {
	case f.Obeys(w.FlockID) && f.durable.Coordinator == from:
		answer() // the first answer may be lost
		return
	case f.Bound() && f.durable.Coordinator != from:
		refuse(refusedBound)
		return
	case f.Bound() && w.Attempt <= f.durable.Attempt:
		return // an old attempt: its coordinator has begun a newer one
	case w.Expect != f.set.Expect || len(w.Set) != f.set.Expect:
		refuse(refusedExpect)
		return
	case !ok || !slices.Equal(ids, w.Set):
		if len(ids) > f.set.Expect {
			refuse(refusedView)
		}
		return // gossip has not shown this agent all founders yet: the proposal is repeated
	}
	f.durable = store.Founding{
		FlockID: w.FlockID, Coordinator: from, Attempt: w.Attempt, Aborted: f.durable.Aborted, Set: slices.Clone(w.Set),
	}
	f.keep(fx)
	answer()
}
