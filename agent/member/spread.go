package member

import (
	"time"

	"duckduckgoose/agent/election"
)

const (
	// unevenFor is how long elections must be spread unevenly before one moves,
	// and moveEvery is the pace.
	unevenFor = 5 * time.Second
	moveEvery = time.Second
)

// spreadElections hands one election over when this agent has led at least two
// more than another that could lead it, for a while. Those without work move first.
func (m *Member) spreadElections(now time.Duration) {
	if len(m.elections) < 3 || m.FrozenFor(now) > 0 || m.stop.started || m.leaving != nil || now < m.spreadAt {
		return
	}
	m.spreadAt = now + moveEvery
	give, to := m.electionToMove(now)
	switch {
	case give == nil:
		m.unevenSince = 0
	case m.unevenSince == 0:
		m.unevenSince = now
	case now-m.unevenSince >= unevenFor:
		m.host.Tell(Event{Kind: EventMoves, Election: give.name, Peer: to})
		give.stepDown(to, func(_ election.ID, err error) {
			if err != nil {
				m.host.Tell(Event{Kind: EventNotMoved, Election: give.name, Err: err})
			}
		})
	}
}

// electionToMove gives the election to hand over and the agent that is to lead
// it; nil when they are spread evenly.
func (m *Member) electionToMove(now time.Duration) (give *Election, to election.ID) {
	leads := map[election.ID]int{}
	for _, e := range m.elections[1:] {
		if goose, _ := e.Goose(now); !goose.IsZero() {
			leads[goose]++
		}
	}
	worked := false // there is work for give
	for _, e := range m.elections[1:] {
		works := e.local.Holders().Attached > 0
		if e.handover != nil || e.node.Role() != election.Leader || e.node.Lease().Until <= now || give != nil && works {
			continue
		}
		best, ok := e.leastBusy(now, leads)
		if !ok || leads[best]+2 > leads[m.id] {
			continue
		}
		if give == nil || leads[best] < leads[to] || worked && !works {
			give, to, worked = e, best, works
		}
	}
	return give, to
}

// leastBusy gives the voter that leads the fewest elections, among those that
// could take this one over and rank no lower than this agent.
func (e *Election) leastBusy(now time.Duration, leads map[election.ID]int) (best election.ID, ok bool) {
	rec := e.node.Record()
	own := rec.Config.Index(e.m.id)
	for _, contact := range e.contacts {
		i := rec.Config.Index(contact.ID)
		if i < 0 || own < 0 || !contact.Answers(now, e.m.set.Lease) {
			continue
		}
		priority := rec.Config.Voters[i].Priority
		if priority == 0 || priority < rec.Config.Voters[own].Priority {
			continue
		}
		if !ok || leads[contact.ID] < leads[best] {
			best, ok = contact.ID, true
		}
	}
	return best, ok
}
