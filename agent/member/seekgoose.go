package member

import (
	"cmp"
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
	// metAfter is how long an agent that has just met its flock waits before it asks: gossip
	// shows it the others one by one, and the voters may come last.
	metAfter = 20 * time.Millisecond
	// newFor is how long gossip takes to show a newcomer to all of a large flock.
	newFor = 30 * time.Second
	// asksOf is the number of agents asked by one that knows no voters.
	asksOf = 3
)

// seekGoose asks for the goose if this agent hears none and the goose may not know of
// it: gossip loses an update now and then, and repairs that only after half a minute; and
// in a crowd it takes seconds to show a newcomer to all. The question needs no answer. It
// shows the goose whose flock this agent is of (see [Member.believeFlock]), and agents
// answer an old config by the newer one.
func (e *Election) seekGoose(now time.Duration) {
	if goose, _ := e.Goose(now); !goose.IsZero() || e.goosedAt == 0 {
		e.goosedAt, e.asks = now, 0
	}
	rec := e.node.Record()
	if rec.Config.N > 0 && (e.number != 0 || rec.Config.Has(e.m.id)) {
		return
	}
	if at := e.asksAt(now, &rec); now < at {
		e.m.lookAt = min(e.m.lookAt, at)
		return
	}
	guides := e.m.someGuides()
	if len(guides) == 0 {
		return // it asks once it meets somebody
	}
	e.askedAt, e.asks = now, min(e.asks+1, asksGrow)
	for _, id := range guides {
		e.send(&election.Message{Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: e.header(id)})
	}
}

// asksAt returns when this agent asks for the goose next, if it hears none. To those that
// pass the news on, a newcomer is unknown for a while: it asks before it hears none.
func (e *Election) asksAt(now time.Duration, rec *election.Record) time.Duration {
	r := &e.m.relay
	if e.number == 0 && r.metAt == 0 {
		r.metAt = now
	}
	at, again := max(e.goosedAt, e.askedAt), max(e.asks-1, 0) // the first may only bring the config
	switch {
	case e.number != 0:
		return at + max(careAfter*e.span(), contestsEvery) // the default election's question serves all
	case rec.Config.N == 0 && e.askedAt == 0:
		return r.metAt + metAfter
	case now-r.metAt < newFor && (rec.Config.N == 0 || r.crowd):
		return max(e.node.News().At, e.askedAt) + e.span()/2<<again
	}
	return at + gooselessFor*e.span()<<again
}

// someGuides returns two of the guides, others each time, if many agents may ask at once;
// else all. It spares the goose.
func (m *Member) someGuides() []election.ID {
	ids := m.guides()
	if !m.relay.crowd || len(ids) <= 2 || m.node().Record().Config.N == 0 {
		return ids
	}
	if goose := m.node().News().Goose; len(ids) > 3 {
		ids = slices.DeleteFunc(ids, func(id election.ID) bool { return id == goose })
	}
	m.relay.asked += 2
	first := (int(m.id[0]) + m.relay.asked) % len(ids)
	return append(ids, ids...)[first : first+2]
}

// guides returns the agents to ask for the goose: the other voters of the flock. If none
// are known, it returns a few agents of the flock. First come those that have answered this
// one before: without a key an agent answers only agents that it knows. The others change
// from call to call. They show the newest config, so they are no newcomers, who would know
// no more than this agent.
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
	var met []election.ID
	var newest ShownConfig
	for i := range m.peers {
		p := &m.peers[i]
		if p.ID == m.id || p.State != Alive || p.Meta.FlockID != m.FlockID() {
			continue
		}
		c := p.Meta.Config
		newer := cmp.Or(cmp.Compare(c.Generation, newest.Generation), c.ID.Compare(newest.ID))
		if newer > 0 {
			ids, newest = ids[:0], c
		}
		switch {
		case p.Met && len(met) < asksOf:
			met = append(met, p.ID)
		case newer >= 0:
			ids = append(ids, p.ID)
		}
	}
	if more := asksOf - len(met); len(ids) > more {
		m.relay.asked += more
		first := (int(m.id[0]) + m.relay.asked) % len(ids)
		ids = append(ids, ids...)[first : first+more]
	}
	return append(met, ids...)
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
