package member

import (
	"slices"

	"duckduckgoose/agent/election"
)

// SetPeers takes gossip's view: every agent known, sorted by id.
func (m *Member) SetPeers(peers []Peer) {
	m.peers = peers
	m.peersChanged()
}

// Peers gives gossip's view as this agent last took it. It is for reading.
func (m *Member) Peers() []Peer { return m.peers }

func (m *Member) peersChanged() {
	m.membersNow++
	m.alive = 0
	for _, p := range m.peers {
		if p.State != Alive {
			continue
		}
		m.alive++
		if p.ID != m.id {
			m.addresses.Gossiped(p.ID, p.Meta.Start, p.Addr)
		}
	}
	m.hearFreezes()
	m.LookNow()
	now := m.host.Now()
	for _, e := range m.elections {
		e.keepInView()
		e.publish(now)
	}
}

// keepInView tells the node which agents may become voters: live ones that are
// not observers or, for the other elections, the default election's voters. The
// rest only hear its announcements.
func (e *Election) keepInView() {
	m := e.m
	if e.node == nil {
		return
	}
	known := map[election.ID]bool{m.id: true}
	for _, contact := range e.node.Contacts(nil) {
		known[contact.ID] = true
	}
	flock, voters := m.flockID(), m.node().Record().Config
	for _, p := range m.peers {
		switch {
		case p.ID == m.id:
		case p.State == Alive && !known[p.ID] && p.Meta.FlockID == flock && !p.Meta.Observer && (e.number == 0 || voters.Has(p.ID)):
			e.step(election.Observe{ID: p.ID})
		case known[p.ID] && (p.State != Alive || e.number != 0 && !voters.Has(p.ID)):
			e.step(election.Forget{ID: p.ID}) // voters stay in view whatever gossip says
		}
	}
	e.listAudience()
}

// listAudience lists the live agents of the flock that the node does not keep in view.
func (e *Election) listAudience() {
	m := e.m
	e.contacts = e.node.Contacts(e.contacts[:0])
	e.audience = e.audience[:0]
	flock := m.flockID()
	for _, p := range m.peers {
		inView := slices.ContainsFunc(e.contacts, func(known election.Contact) bool { return known.ID == p.ID })
		if p.State == Alive && p.ID != m.id && !inView && p.Meta.FlockID == flock {
			e.audience = append(e.audience, p.ID)
		}
	}
}

// isKnown tells of an id that gossip or the voters know.
func (m *Member) isKnown(id election.ID) bool {
	if m.node() != nil {
		if rec := m.node().Record(); rec.Config.Has(id) {
			return true
		}
	}
	return slices.ContainsFunc(m.peers, func(p Peer) bool { return p.ID == id })
}

// isAlive tells of an agent that gossip counts as alive.
func (m *Member) isAlive(id election.ID) bool {
	return slices.ContainsFunc(m.peers, func(p Peer) bool { return p.ID == id && p.State == Alive })
}
