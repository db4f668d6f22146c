package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// handover is a planned end of the lead: work is stopped first, the lease
// renewed meanwhile, and only then the successor is asked (rule 16).
type handover struct {
	cause    Cause       // what holders are told
	to       election.ID // zero: the voter that ranks first
	stop     bool        // the agent goes away: resign when nobody can take over
	raiseTo  uint64      // be elected anew above this term instead (rule 7); 0: hand over
	until    time.Duration
	given    time.Duration // when the node gave up the lead, or lost it; 0: still waiting for work to end
	lost     bool          // the lead was lost before the node could give it up
	resigned bool          // nobody took over in time, and the node resigned
	done     func(goose election.ID, err error)
}

// StepDown hands an election over to an agent, or to the voter that ranks first
// when to is zero. Work is stopped first. done is called once: with the new
// goose, or with the reason why there is none. A frozen flock refuses without force.
func (m *Member) StepDown(e *Election, to election.ID, force bool, done func(goose election.ID, err error)) {
	if err := m.mayStepDown(e, force); err != nil {
		done(election.ID{}, err)
		return
	}
	e.stepDown(to, done)
}

func (m *Member) mayStepDown(e *Election, force bool) error {
	if e.node == nil || e.node.Role() != election.Leader {
		return e.notGoose()
	}
	if left := m.FrozenFor(m.host.Now()); left > 0 && !force {
		return &Refusal{Code: FlockFrozen, For: left}
	}
	return nil
}

// stepDown begins a hand-over. It first checks on a copy of the node whether it
// can, so that no work is stopped in vain.
func (e *Election) stepDown(to election.ID, done func(goose election.ID, err error)) {
	if e.number != 0 && to.IsZero() {
		if to = e.heir(e.m.host.Now()); to.IsZero() {
			done(election.ID{}, &Refusal{Code: NoContestant, Election: e.name})
			return
		}
	}
	trial := *e.node
	var fx election.Effects
	trial.Step(e.m.host.Now(), election.StepDown{To: to}, &fx)
	if fx.Err != nil {
		done(election.ID{}, e.explain(fx.Err, to))
		return
	}
	e.beginHandover(handover{cause: SteppedDown, to: to, done: done})
}

// beginHandover starts a planned end. Its done is called once.
func (e *Election) beginHandover(h handover) {
	if e.handover != nil {
		h.done(election.ID{}, refused(HandoverUnderWay))
		return
	}
	now := e.m.host.Now()
	h.until = now + e.local.Holders().Grace // running work has so long to end
	e.handover = &h
	e.m.handovers++
	e.local.Stop(h.cause)
	e.progressHandover(now)
}

// progressHandover moves a planned end along: wait for work to end, give up the
// lead, see the new goose.
func (e *Election) progressHandover(now time.Duration) {
	h := e.handover
	if h != nil && h.lost && h.raiseTo == 0 && e.node.Role() == election.Leader {
		h.given, h.lost = 0, false // elected again: what was asked for is still to be done
	}
	if h == nil || h.given == 0 && !e.giveUp(now) {
		return
	}
	if e.node.Role() != election.Leader || !e.node.HandingOver() {
		switch id, _, heardAt := e.node.Heard(); {
		case h.raiseTo != 0 && e.node.Role() == election.Leader:
			e.endHandover(e.m.id, nil)
			return
		case id != e.m.id && !id.IsZero() && heardAt > h.given:
			e.endHandover(id, nil)
			return
		case h.resigned:
			e.endHandover(election.ID{}, refused(NobodyResigned))
			return
		}
	}
	if wait := 2 * e.m.set.Lease; now >= max(h.given, e.node.HandedTo())+wait {
		e.endHandover(election.ID{}, &Refusal{Code: NobodyTookOver, For: wait})
	}
}

// giveUp gives up the lead once all work has ended, or its grace has. It tells
// whether there is a successor to wait for.
func (e *Election) giveUp(now time.Duration) bool {
	h := e.handover
	leads := e.node.Role() == election.Leader
	if leads && now < h.until && e.local.Holders().Working > 0 {
		return false
	}
	h.given = now
	e.tellHolders()
	if !leads { // lost while work ended: if another leads, what was asked for has happened
		h.lost = true
		return false
	}
	to := h.to
	if to.IsZero() {
		to = e.heir(now)
	}
	var in election.Input = election.StepDown{To: to, Stop: h.stop}
	if h.raiseTo != 0 {
		in = election.RaiseTerm{Term: h.raiseTo}
	}
	e.step(in)
	if e.fx.Err != nil {
		e.endHandover(election.ID{}, e.explain(e.fx.Err, h.to))
		return false
	}
	return true
}

func (e *Election) endHandover(goose election.ID, err error) {
	h := e.dropHandover()
	h.done(goose, err)
	e.m.HoldersChanged(e)
}

// dropHandover forgets the hand-over under way, if any, and gives it.
func (e *Election) dropHandover() *handover {
	h := e.handover
	if h != nil {
		e.handover = nil
		e.m.handovers--
	}
	return h
}

// stopping is the end of a life that was asked for.
type stopping struct {
	started bool
	done    bool
	until   time.Duration
}

// Stop hands over what this agent leads, and ends the life: a later Turn says done.
func (m *Member) Stop(cause Cause) {
	if m.stop.started {
		return
	}
	var grace time.Duration
	for _, e := range m.elections {
		grace = max(grace, e.local.Holders().Grace)
	}
	m.stop = stopping{started: true, until: m.host.Now() + grace + 4*m.set.Lease}
	for _, e := range m.elections {
		e.end(cause)
	}
}

// end hands over, if this agent leads, as the life ends.
func (e *Election) end(cause Cause) {
	e.local.Stop(cause)
	if e.node == nil || e.node.Role() != election.Leader {
		e.hasEnded()
		return
	}
	ended := func(goose election.ID, _ error) {
		if !goose.IsZero() {
			e.m.host.Tell(Event{Kind: EventHandedOver, Election: e.name, Peer: goose})
		}
		e.hasEnded()
	}
	if h := e.handover; h != nil && (h.raiseTo == 0 || h.given != 0) {
		planned := h.done
		h.stop, h.done = true, func(goose election.ID, err error) {
			planned(goose, err)
			ended(goose, err)
		}
		return
	}
	e.dropHandover() // it was only to come back at a higher term
	e.beginHandover(handover{cause: cause, stop: true, done: ended})
}

// hasEnded books that nothing of this election keeps the life from ending.
// While another one does, this agent is not elected again.
func (e *Election) hasEnded() {
	e.ended = true
	e.tellHolders()
}

// progressStop moves planned ends along. It runs every turn.
func (m *Member) progressStop(now time.Duration) {
	if m.handovers > 0 {
		for _, e := range m.elections {
			e.progressHandover(now)
		}
	}
	if !m.stop.started {
		return
	}
	if unended := slices.ContainsFunc(m.elections, func(e *Election) bool { return !e.ended }); !unended || now >= m.stop.until {
		m.stop.done = true
	}
}
