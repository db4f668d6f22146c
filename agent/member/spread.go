package member

import (
	"time"

	"duckduckgoose/agent/election"
)

const (
	// unevenFor is how long elections must be uneven before one moves; moveEvery is the
	// pause between two moves.
	unevenFor = 5 * time.Second
	moveEvery = time.Second
)

// spreadElections hands one election over if this agent has led at least two more than
// another possible leader, for a while. Elections without work move first.
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

// electionToMove returns the election to hand over and the agent to lead it; nil if they
// are spread evenly.
func (m *Member) electionToMove(now time.Duration) (give *Election, to election.ID) {
	leads := map[election.ID]int{}
	for _, e := range m.elections[1:] {
		if goose, _ := e.Goose(now); !goose.IsZero() {
			leads[goose]++
		}
	}
	worked := false // there is work for the candidate
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

// leastBusy returns the voter that leads the fewest elections, among those that could
// take this one over, rank no lower than this agent, and have work if this agent has.
func (e *Election) leastBusy(now time.Duration, leads map[election.ID]int) (best election.ID, ok bool) {
	rec := e.node.Record()
	own := rec.Config.Index(e.m.id)
	e.contacts = e.node.Contacts(e.contacts[:0])
	for _, contact := range e.contacts {
		if own < 0 || !e.canTakeOver(now, &rec.Config, &contact) || contact.Fitness&election.HasWork < e.fitness&election.HasWork {
			continue
		}
		if rec.Config.Voters[rec.Config.Index(contact.ID)].Priority < rec.Config.Voters[own].Priority {
			continue
		}
		if !ok || leads[contact.ID] < leads[best] {
			best, ok = contact.ID, true
		}
	}
	return best, ok
}
