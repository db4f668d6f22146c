package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
)

const (
	// unfitEvery is the pause between two attempts of a goose that should not lead to hand
	// over.
	unfitEvery = 10 * time.Second
	// forceFor is how long a forced leave is tried.
	forceFor = 10 * time.Second
)

// steerVoters makes the one change of voters that the autopilot asks for.
func (m *Member) steerVoters(now time.Duration) {
	m.heir = autopilot.Heir{}
	e := m.Default()
	if e.node.Role() != election.Leader || e.node.HandingOver() || e.node.Lease().Until <= now {
		return
	}
	rec := e.node.Record()
	v := autopilot.View{
		Self: m.id, Term: rec.Term, Config: rec.Config, Committed: e.node.Committed(), Limit: m.set.Voters,
		Frozen: m.FrozenFor(now) > 0, Members: m.pilotMembers(now), Silent: e.node.Silent(now),
	}
	m.preempt(now, v)
	if autopilot.Unfit(v) && !v.Frozen && e.handover == nil && now >= m.unfitAt && !e.node.Successor(now).IsZero() {
		m.unfitAt = now + unfitEvery
		e.stepDown(election.ID{}, func(goose election.ID, err error) {
			m.host.Tell(Event{Kind: EventUnfit, Peer: goose, Err: err})
		})
		return
	}
	change, ok := m.pilot.Decide(now, v)
	if !ok {
		return
	}
	for _, c := range e.node.Contacts(nil) {
		if c.ID == change.Voter.ID && !change.Remove && c.Term > rec.Term && e.handover == nil {
			e.raiseTerm(c.Term)
			return
		}
	}
	e.change(change)
}

// raiseTerm makes this agent win an election above another agent's term, so that it can
// add that agent (rule 7).
func (e *Election) raiseTerm(term uint64) {
	e.beginHandover(handover{cause: SteppedDown, raiseTo: term, done: func(election.ID, error) {}})
}

func (e *Election) change(in election.Change) {
	e.step(in)
	if e.fx.Err != nil {
		e.m.host.Tell(Event{Kind: EventChangeRefused, Election: e.name, Peer: in.Voter.ID, Err: e.fx.Err})
	}
}

func (m *Member) pilotMembers(now time.Duration) []autopilot.Member {
	e := m.Default()
	contacts := map[election.ID]election.Contact{}
	for _, c := range e.node.Contacts(nil) {
		contacts[c.ID] = c
	}
	term, frozen := e.node.Record().Term, m.FrozenFor(now) > 0
	var members []autopilot.Member
	for _, p := range m.peers {
		if p.State == Left || !p.Meta.FlockID.IsZero() && p.Meta.FlockID != m.FlockID() {
			continue
		}
		c := contacts[p.ID]
		fitness := c.Fitness
		if p.ID == m.id {
			fitness = e.fitness
		}
		members = append(members, autopilot.Member{
			ID: p.ID, Alive: p.State == Alive,
			// An agent with a higher term acks nothing, but answers (rule 7); adding it needs
			// a higher term.
			Acks:    c.Answers(now, m.span()) || c.Term > term && !frozen,
			Fitness: fitness, Observer: p.Meta.Observer, Priority: p.Meta.Priority, PreemptAfter: p.Meta.PreemptAfter,
			Leaving: m.wantsOut(p.ID, now), Forced: m.forcedIndex(p.ID) >= 0,
		})
	}
	for _, f := range m.forced { // gossip may have forgotten it
		if !slices.ContainsFunc(members, func(o autopilot.Member) bool { return o.ID == f.id }) {
			members = append(members, autopilot.Member{ID: f.id, Forced: true})
			slices.SortFunc(members, func(a, b autopilot.Member) int { return a.ID.Compare(b.ID) })
		}
	}
	return members
}

// preempt hands over to an agent of higher priority that asks for it, when its time has
// come. Work is stopped first, as for a step-down.
func (m *Member) preempt(now time.Duration, v autopilot.View) {
	e := m.Default()
	heir, due := m.preemption.Decide(now, v)
	m.heir = heir
	if !due || e.handover != nil || m.leaving != nil || m.stop.started {
		return
	}
	m.preemption.Ask(now, heir.ID)
	m.host.Count("preemptions")
	m.host.Tell(Event{Kind: EventPreempted, Peer: heir.ID, Priority: heir.Priority})
	e.stepDown(heir.ID, func(_ election.ID, err error) {
		if err != nil {
			m.host.Tell(Event{Kind: EventNotPreempted, Peer: heir.ID, Err: err})
		}
	})
}

// forcedLeave is a forced leave under way.
type forcedLeave struct {
	id    election.ID
	until time.Duration
	done  func(error)
}

// ForceLeave removes a voter that will never return. Only the goose takes it; done is
// called once.
func (m *Member) ForceLeave(id election.ID, done func(error)) {
	e, now := m.Default(), m.host.Now()
	switch {
	case !m.Leads(now):
		done(e.notGoose())
	case id == m.id:
		done(&Refusal{Code: IsSelf, Agent: id})
	case m.IsAlive(id):
		done(&Refusal{Code: IsAlive, Agent: id})
	default:
		if i := m.forcedIndex(id); i >= 0 {
			m.endForced(i, &Refusal{Code: ForcedAgain, Agent: id})
		}
		m.forced = append(m.forced, forcedLeave{id, now + forceFor, done})
		m.LookNow()
	}
}

// Leads reports whether this agent is the goose of the default election.
func (m *Member) Leads(now time.Duration) bool {
	n := m.node()
	return n != nil && n.Role() == election.Leader && n.Lease().Until > now
}

func (m *Member) forcedIndex(id election.ID) int {
	return slices.IndexFunc(m.forced, func(f forcedLeave) bool { return f.id == id })
}

func (m *Member) endForced(i int, err error) {
	done := m.forced[i].done
	m.forced = slices.Delete(m.forced, i, i+1)
	done(err)
}

// progressForced answers forced leaves that are committed, or that cannot be.
func (m *Member) progressForced() {
	e := m.Default()
	rec := e.node.Record()
	for i := len(m.forced) - 1; i >= 0; i-- {
		f := m.forced[i]
		out := !rec.Config.Has(f.id)
		switch {
		case out && e.node.Committed():
			m.host.MarkLeft(f.id)
			m.endForced(i, nil)
		case e.node.Role() != election.Leader:
			m.endForced(i, e.notGoose())
		case !out && m.IsAlive(f.id):
			m.endForced(i, &Refusal{Code: IsAliveAgain, Agent: f.id})
		case m.host.Now() >= f.until:
			m.endForced(i, &Refusal{Code: VotersSilent, Agent: f.id})
		}
	}
}
