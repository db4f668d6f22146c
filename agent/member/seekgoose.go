package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// gooselessFor is how many leases an agent out of the goose's view must hear no goose
	// before it asks. Pauses double up to 2^asksGrow times that: without a majority all
	// agents out of view ask.
	gooselessFor = 2
	asksGrow     = 4
	// asksOf is the number of agents asked by one that knows no voters.
	asksOf = 3
)

// seekGoose asks for the goose if this agent hears none and the goose may not know of
// it: gossip loses an update now and then, and repairs that only after half a minute.
// The question needs no answer. It shows the goose whose flock this agent is of (see
// [Member.believeFlock]), and agents answer an old config by the newer one.
func (e *Election) seekGoose(now time.Duration) {
	if goose, _ := e.Goose(now); !goose.IsZero() || e.goosedAt == 0 {
		e.goosedAt, e.asks = now, 0
	}
	pause := gooselessFor * e.span() << max(e.asks-1, 0) // the first may only bring the config
	if e.number != 0 {
		pause = max(careAfter*e.span(), contestsEvery) // the default election's question serves all
	}
	rec := e.node.Record()
	if now < max(e.goosedAt, e.askedAt)+pause || rec.Config.N > 0 && (e.number != 0 || rec.Config.Has(e.m.id)) {
		return
	}
	e.askedAt, e.asks = now, min(e.asks+1, asksGrow)
	for _, id := range e.m.someGuides() {
		e.send(&election.Message{Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: e.header(id)})
	}
}

// someGuides returns two of the guides, others each time, if many agents may ask at once;
// else all.
func (m *Member) someGuides() []election.ID {
	ids := m.guides()
	if !m.relay.crowd || len(ids) <= 2 {
		return ids
	}
	m.relay.asked += 2
	first := (int(m.id[0]) + m.relay.asked) % len(ids)
	return append(ids, ids...)[first : first+2]
}

// guides returns the agents to ask for the goose: the other voters of the flock, or, if
// none are known, the next few agents of the flock.
func (m *Member) guides() (ids []election.ID) {
	rec := m.node().Record()
	for _, v := range rec.Config.Members() {
		if v.ID != m.id {
			ids = append(ids, v.ID)
		}
	}
	if rec.Config.N > 0 {
		return ids
	}
	next, _ := slices.BinarySearchFunc(m.peers, m.id, func(p Peer, id election.ID) int { return p.ID.Compare(id) })
	for i := range m.peers {
		p := &m.peers[(next+i)%len(m.peers)]
		if p.ID != m.id && p.State == Alive && p.Meta.FlockID == m.FlockID() && len(ids) < asksOf {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// believeFlock takes from a datagram of this flock that its sender is of the flock, if
// gossip has not said so yet: the sender may have joined only now.
func (m *Member) believeFlock(id election.ID) {
	if p := m.live(id); p != nil && p.Meta.FlockID.IsZero() && m.node() != nil {
		joined := *p
		joined.Meta.FlockID = m.FlockID()
		m.ChangePeers([]Peer{joined}, nil)
	}
}
