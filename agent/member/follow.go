package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// followVoters makes the one change that brings this election's voters closer to the
// default election's: it adds a missing voter that answers, removes a surplus one, or
// changes a priority, as far as rule 5 allows.
func (e *Election) followVoters(now time.Duration) {
	m := e.m
	if e.node.Lease().Until <= now || e.handover != nil || !e.node.Committed() {
		return // not the goose, or not for much longer
	}
	e.contacts = e.node.Contacts(e.contacts[:0])
	target := m.node().Record().Config
	own := e.node.Record()
	if target.N == 0 {
		return
	}
	if !target.Has(m.id) && !e.heir(now).IsZero() {
		e.stepDown(election.ID{}, func(election.ID, error) {})
		return
	}
	for _, contact := range e.contacts {
		i := target.Index(contact.ID)
		if i < 0 || own.Config.Has(contact.ID) || own.Config.N == election.MaxVoters {
			continue
		}
		switch {
		case contact.Term > own.Term: // it is ahead: be elected above its term first (rule 7)
			e.raiseTerm(contact.Term)
			return
		case contact.Answers(now, e.span()):
			e.change(election.Change{Voter: target.Voters[i]})
			return
		}
	}
	if v, ok := e.surplus(now, &own.Config, &target); ok {
		e.change(election.Change{Voter: v, Remove: true})
		return
	}
	if !e.contested {
		if to := e.heir(now); !to.IsZero() { // one that contests it
			if now >= e.movedAt+moveEvery {
				e.movedAt = now
				e.stepDown(to, func(election.ID, error) {})
			}
			return
		}
	}
	for _, v := range own.Config.Members() {
		if want, ok := e.wantedPriority(v.ID, target); ok && want != v.Priority {
			e.change(election.Change{Voter: election.Voter{ID: v.ID, Priority: want}})
			return
		}
	}
	if !e.contested && !e.mayCare() {
		e.beginHandover(handover{cause: SteppedDown, stop: true, done: func(election.ID, error) {}})
	}
}

// surplus returns the voter to remove next. One that does not answer goes first, since
// the others may be needed for its removal. A goose cannot remove itself; a surplus
// goose keeps the voters that the set needs once it is gone.
func (e *Election) surplus(now time.Duration, own, target *election.Config) (next election.Voter, ok bool) {
	for _, v := range own.Members() {
		if target.Has(v.ID) || v.ID == e.m.id {
			continue
		}
		if !e.answers(now, v.ID) {
			return v, true
		}
		rest := own.Without(v.ID)
		stay := 0
		for _, w := range rest.Members() {
			if target.Has(w.ID) {
				stay++
			}
		}
		if !ok && (target.Has(e.m.id) || stay >= rest.Quorum()) {
			next, ok = v, true
		}
	}
	return next, ok
}

// answers reports whether an agent has acknowledged a heartbeat within a lease.
func (e *Election) answers(now time.Duration, id election.ID) bool {
	return slices.ContainsFunc(e.contacts, func(k election.Contact) bool {
		return k.ID == id && k.Answers(now, e.span())
	})
}

// wantedPriority returns the default election's priority. A voter that does not contest
// this election gets the lowest one instead, so that it can take care of the election.
func (e *Election) wantedPriority(id election.ID, target election.Config) (priority uint8, ok bool) {
	i := target.Index(id)
	if i < 0 {
		return 0, false
	}
	priority = target.Voters[i].Priority
	if priority == 0 {
		return 0, id != e.m.id
	}
	does, known := e.ContestedBy(id)
	if !does {
		return caretaker, known
	}
	return max(priority, caretaker+1), known
}

// caretaker is the priority of a voter that does not contest the election.
const caretaker = 1

// heir returns the voter to hand this election to, other than the default one: it
// contests the election and can take over, even if the priorities do not show that yet.
// Zero: the first in rank.
func (e *Election) heir(now time.Duration) (best election.ID) {
	if e.number == 0 {
		return best
	}
	if first := e.node.Successor(now); !first.IsZero() {
		if does, _ := e.ContestedBy(first); does {
			return first
		}
	}
	config := e.node.Record().Config
	for _, contact := range e.node.Contacts(nil) {
		if e.canTakeOver(now, &config, &contact) {
			return contact.ID
		}
	}
	return best
}

// hasHeir reports whether this election can be handed over now.
func (e *Election) hasHeir(now time.Duration) bool {
	if e.number == 0 {
		return !e.node.Successor(now).IsZero()
	}
	return !e.heir(now).IsZero()
}
