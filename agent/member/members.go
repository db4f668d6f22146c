package member

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// SetPeers takes gossip's view: every agent known, sorted by id.
func (m *Member) SetPeers(peers []Peer) {
	if !slices.EqualFunc(m.peers, peers, lookAlike) {
		m.membersNow++
	}
	m.peers = peers
	m.peersChanged()
}

// lookAlike tells whether readers cannot tell two views of an agent apart. What
// agents tell each other for the election's sake is not shown.
func lookAlike(a, b Peer) bool {
	for _, p := range []*Peer{&a, &b} {
		p.RTT, p.Meta.Config, p.Meta.Freeze = 0, ShownConfig{}, FreezeNotice{}
	}
	tags := maps.Equal(a.Meta.Tags, b.Meta.Tags)
	a.Meta.Tags, b.Meta.Tags = nil, nil
	return tags && reflect.DeepEqual(a, b)
}

// Peers gives gossip's view as this agent last took it. It is for reading.
func (m *Member) Peers() []Peer { return m.peers }

func (m *Member) peersChanged() {
	m.alive = 0
	for _, p := range m.peers {
		if p.State != Alive {
			continue
		}
		m.alive++
		if p.ID != m.id {
			m.addresses.Gossiped(p.ID, p.Meta.Start, p.Meta.Life, p.Addr)
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
	flock, voters := m.FlockID(), m.node().Record().Config
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
	flock := m.FlockID()
	for _, p := range m.peers {
		inView := slices.ContainsFunc(e.contacts, func(known election.Contact) bool { return known.ID == p.ID })
		if p.State == Alive && p.ID != m.id && !inView && p.Meta.FlockID == flock {
			e.audience = append(e.audience, p.ID)
		}
	}
}

// IsKnown tells of an id that gossip or the voters know.
func (m *Member) IsKnown(id election.ID) bool {
	if m.node() != nil {
		if rec := m.node().Record(); rec.Config.Has(id) {
			return true
		}
	}
	return slices.ContainsFunc(m.peers, func(p Peer) bool { return p.ID == id })
}

// IsAlive tells of an agent that gossip counts as alive.
func (m *Member) IsAlive(id election.ID) bool {
	return slices.ContainsFunc(m.peers, func(p Peer) bool { return p.ID == id && p.State == Alive })
}

// shownConfig is what gossip tells about this agent's config.
func (m *Member) shownConfig() ShownConfig {
	if m.node() == nil {
		return ShownConfig{}
	}
	rec := m.node().Record()
	return ShownConfig{Known: true, Generation: rec.Generation.Number, ID: rec.Config.ConfigID}
}

// seenEvery spaces the looks at the configs that gossip shows, at least two
// leases: gossip needs a moment to tell what has changed.
const seenEvery = 2 * time.Second

// showNewerConfig has the node send its config to live agents that show an older
// one by gossip (rule 27). Voters do it: a config that counts is known to one.
func (m *Member) showNewerConfig(now time.Duration) {
	e := m.Default()
	rec := e.node.Record()
	if now < m.seenAt+max(seenEvery, 2*m.set.Lease) || !rec.Config.Has(m.id) {
		return
	}
	m.seenAt = now
	for _, p := range m.peers {
		if c := p.Meta.Config; c.Known && p.State == Alive && p.ID != m.id && p.Meta.FlockID == rec.FlockID {
			e.step(election.Seen{ID: p.ID, Generation: c.Generation, Config: c.ID})
		}
	}
}
