package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// handover is a planned end of the lead: work is stopped first, the lease
// renewed meanwhile, and only then the successor is asked (rule 16).
type handover struct {
	cause    Cause       // for the holders
	to       election.ID // zero: the voter that ranks first
	stop     bool        // the agent goes away: resign when nobody can take over
	unwell   bool        // only because the check fails: it ends if the check passes again in time and nobody can take over
	raiseTo  uint64      // be elected anew above this term instead (rule 7); 0: hand over
	until    time.Duration
	given    time.Duration // when the node gave up or lost the lead; 0: work has not ended yet
	lost     bool          // the lead was lost before the node could give it up
	resigned bool          // nobody took over in time, and the node resigned
	done     func(goose election.ID, err error)
}

// StepDown hands an election over to an agent, or, if to is zero, to the voter that
// ranks first. Work is stopped first. done is called once, with the new goose or an
// error. A frozen flock refuses without force.
func (m *Member) StepDown(e *Election, to election.ID, force bool, done func(goose election.ID, err error)) {
	switch left := m.FrozenFor(m.host.Now()); {
	case e.node == nil || e.node.Role() != election.Leader:
		done(election.ID{}, e.notGoose())
	case left > 0 && !force:
		done(election.ID{}, &Refusal{Code: FlockFrozen, For: left})
	default:
		e.stepDown(to, done)
	}
}

// stepDown begins a hand-over. It first tries the hand-over on a copy of the node, so
// that no work is stopped in vain.
func (e *Election) stepDown(to election.ID, done func(goose election.ID, err error)) {
	now := e.m.host.Now()
	early := e.isEarly(now, to)
	if e.number != 0 && to.IsZero() {
		if to = e.heir(now); to.IsZero() && !early {
			done(election.ID{}, &Refusal{Code: NoContestant, Election: e.name})
			return
		}
	}
	trial := *e.node
	var fx election.Effects
	trial.Step(now, election.StepDown{To: to}, &fx)
	if fx.Err != nil && !early {
		done(election.ID{}, e.explain(fx.Err, to))
		return
	}
	e.beginHandover(handover{cause: SteppedDown, to: to, done: done})
}

// isEarly reports whether a new leader should wait for the answers to its first round
// before it hands over: to an agent, or, if to is zero, to any, as long as none can take
// over.
func (e *Election) isEarly(now time.Duration, to election.ID) bool {
	if to.IsZero() && e.hasHeir(now) {
		return false
	}
	config := e.node.Record().Config
	return slices.ContainsFunc(config.Members(), func(v election.Voter) bool {
		return (to.IsZero() || v.ID == to) && e.node.MayAnswer(now, v.ID)
	})
}

// beginHandover starts a planned end. Its done is called once.
func (e *Election) beginHandover(h handover) {
	if e.handover != nil {
		e.handover.unwell = false // now somebody wants it, however well this agent is
		h.done(election.ID{}, refused(HandoverUnderWay))
		return
	}
	now := e.m.host.Now()
	h.until = now + e.local.Holders().Grace // the time that running work has to end
	e.handover = &h
	e.m.handovers++
	e.local.Stop(h.cause)
	e.progressHandover(now)
}

// progressHandover continues a planned end: wait for work to end, give up the lead, see
// the new goose.
func (e *Election) progressHandover(now time.Duration) {
	h := e.handover
	if h != nil && h.lost && h.raiseTo == 0 && e.node.Role() == election.Leader {
		h.given, h.lost = 0, false // elected again: the hand-over is still to be done
	}
	if h != nil && h.unwell && h.given == 0 && e.fitness&election.Unwell == 0 && e.node.Role() == election.Leader && !e.hasHeir(now) {
		e.endHandover(e.m.id, nil) // the lease stands: work begins again under its token
		return
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
	if wait := 2 * e.span(); now >= max(h.given, e.node.HandedTo())+wait {
		e.endHandover(election.ID{}, &Refusal{Code: NobodyTookOver, For: wait})
	}
}

// giveUp gives up the lead once all work has ended, or its grace is over. It reports
// whether there is a successor to wait for.
func (e *Election) giveUp(now time.Duration) bool {
	h := e.handover
	leads := e.node.Role() == election.Leader
	if leads && now < h.until {
		// A holder that does not answer ends no work: its deadline binds this agent, and it gets no other.
		if at := e.local.Holders(); at.Working > at.Silent {
			return false
		}
	}
	if leads && e.isEarly(now, h.to) {
		return false
	}
	h.given = now
	e.tellHolders()
	if !leads { // lost while work ended: if another agent leads, the hand-over is done
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

// dropHandover forgets and returns the hand-over under way, if there is one.
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
	m.stop = stopping{started: true, until: m.host.Now() + grace + 4*m.span()}
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
		h.stop, h.unwell, h.done = true, false, func(goose election.ID, err error) {
			planned(goose, err)
			ended(goose, err)
		}
		return
	}
	e.dropHandover() // its only purpose was to lead again at a higher term
	e.beginHandover(handover{cause: cause, stop: true, done: ended})
}

// hasEnded records that this election no longer delays the end of this life. While
// another election does, this agent is not elected here again.
func (e *Election) hasEnded() {
	e.ended = true
	e.tellHolders()
}

// progressStop continues planned ends. It runs every turn.
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
