package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// trees is how many trees carry the same news. An agent's way from a voter is another
	// in each, so one agent that fails or is cut off keeps nothing from the others.
	trees = 2
	// passesPerLease is how often agents hear of the goose within a lease.
	passesPerLease = 3
	// repeatFrom is the loss from which agents pass everything on twice.
	repeatFrom = 1.0 / 8
	// inViewMost is how many observers a goose keeps in view, unless told otherwise. It
	// tells so few itself.
	inViewMost = 8
	// toldMost bounds how many of those that ask for the goose are told within a heartbeat.
	toldMost = 64
	// newsMost bounds the elections of which these are told in all; of the default one, all are.
	newsMost = 320
)

// relay passes on who the geese are, to the agents that are no voters (rule 30). A goose
// tells the voters. All agents compute the same trees below the voters from gossip's
// view, and each passes on what is new to it. The trees are those of the default election;
// they carry the news of all elections.
type relay struct {
	children []election.ID // whom this agent tells
	roots    []election.ID // the voters that pass news on
	crowd    bool          // the flock has too many observers for the goose to tell
	whole    bool          // all live agents pass on the news of all elections
	stale    bool          // gossip's view has changed since children were computed
	of       election.ConfigID
	term     uint64
	places   []place
	round    uint64  // the last one heard of: see noteLoss
	loss     float64 // the share of rounds that this agent misses
	told     int     // asking agents, since told was last reset at toldAt
	toldAt   time.Duration
	asked    int           // voters, when this agent looked for the goose
	metAt    time.Duration // when it met its flock; 0: not yet
}

// passing is what an agent has passed on of an election.
type passing struct {
	passed   passed        // last
	at       time.Duration // when it was new
	repeated bool          // it was, since it is new
	shows    int           // how often its config still goes along
}

// passed is what news were about.
type passed struct {
	goose  election.ID
	term   uint64
	config election.ConfigID
	round  uint64
	trees  uint64 // the term of the trees by which they went
}

// passOn tells the agents below this one in the trees what is new of the geese. It runs
// once a turn, after all messages of a datagram, so that the news of all elections share
// the datagrams that leave.
func (m *Member) passOn(now time.Duration) {
	r := &m.relay
	if m.node() == nil {
		return
	}
	along := m.Default().passOn(now, false)
	if !r.crowd {
		return // most flocks have none: spare them the work
	}
	elections := m.touched
	if along || r.loss >= repeatFrom {
		elections = m.elections
	}
	for _, e := range elections {
		if e.number != 0 {
			e.passOn(now, along)
		}
	}
}

// passOn passes on the election's news, if they are due, and reports whether they were
// new. along: those of the default election are.
func (e *Election) passOn(now time.Duration, along bool) (fresh bool) {
	m, p, news := e.m, &e.passing, e.node.News()
	if now-news.At >= news.Lease { // there are none, or nobody would take them
		return false
	}
	next := passed{news.Goose, news.Term, e.node.ConfigID(), news.Round, m.treesTerm()}
	rounds, since := m.slotRounds(news.Lease), now-p.at
	slot := min(time.Duration(rounds)*m.set.Heartbeat, news.Lease/passesPerLease) // the goose's heartbeat may be much shorter
	switch other := (passed{next.goose, next.term, next.config, p.passed.round, next.trees}); {
	case other != p.passed:
		fresh = true
	case e.number == 0:
		fresh = next.round/rounds != p.passed.round/rounds
	case next.round == p.passed.round:
	case m.node().IsVoter():
		fresh = along || since >= slot*5/4 // the default election may have no goose
	default:
		fresh = since >= slot*3/4 // at once what a voter sends along, and once of two trees
	}
	if !fresh && (p.repeated || m.relay.loss < repeatFrom || since < slot/2) {
		return false
	}
	if fresh {
		p.at = now
	}
	if next.config != p.passed.config {
		p.shows = 2
	}
	p.passed, p.repeated = next, !fresh
	m.seat(next.trees)
	msg := e.node.Announcement(now, p.shows > 0)
	p.shows = max(p.shows-1, 0)
	for _, id := range m.relay.children {
		msg.To = id
		e.sendAt(now, &msg)
	}
	return fresh
}

// noteLoss measures the share of the rounds that this agent misses. A voter should hear
// of each round, an observer of one in rounds.
func (m *Member) noteLoss() {
	r, news, last := &m.relay, m.node().News(), &m.Default().passing.passed
	rounds := uint64(1)
	if !m.node().IsVoter() {
		rounds = m.slotRounds(news.Lease)
	}
	was, is := r.round/rounds, news.Round/rounds
	r.round = news.Round
	if is <= was || news.Goose != last.goose || news.Term != last.term {
		return
	}
	missed := 0.0
	if is > was+1 {
		missed = 1
	}
	r.loss += (missed - r.loss) / 16
}

// treesTerm returns the term that decides places in the trees: that of the default
// election's last known goose, which has stamped the config. After a restart or a Resign
// that is all that is known of it.
func (m *Member) treesTerm() uint64 {
	rec := m.node().Record()
	return max(m.node().News().Term, rec.Config.Term)
}

// tellsByTrees reports whether trees carry the election's news, instead of its goose, to
// those that relay it.
func (e *Election) tellsByTrees() bool {
	r := &e.m.relay
	e.m.seat(e.m.treesTerm())
	return r.crowd && (e.number == 0 || r.whole)
}

// slotRounds is the number of heartbeats between two that are passed on. lease is the
// goose's.
func (m *Member) slotRounds(lease time.Duration) uint64 {
	return uint64(max(min(lease, m.set.Lease)/(passesPerLease*m.set.Heartbeat), 1))
}

// tellGoose answers an agent that is no voter and has heard no goose (see seekGoose). It
// tells the geese of all elections, as a rule.
func (m *Member) tellGoose(msg *election.Message) {
	r, rec, now := &m.relay, m.node().Record(), m.frameAt
	if msg.Nonce != 0 || rec.Config.Has(msg.From) {
		return
	}
	if now-r.toldAt >= m.set.Heartbeat {
		r.told, r.toldAt = 0, now
	}
	if r.told++; r.told > toldMost {
		return
	}
	elections := m.elections
	if r.told*len(elections) > newsMost {
		elections = elections[:1]
	}
	for _, e := range elections {
		if news := e.node.News(); now-news.At < news.Lease {
			answer := e.node.Announcement(now, e.number == 0 && msg.ConfigID != rec.Config.ConfigID)
			answer.To = msg.From
			e.sendAt(now, &answer)
		}
	}
}

// seat computes whom this agent tells, if that may have changed.
func (m *Member) seat(term uint64) {
	r := &m.relay
	rec := m.node().Record()
	if !r.stale && r.of == rec.Config.ConfigID && r.term == term {
		return
	}
	r.stale, r.of, r.term = false, rec.Config.ConfigID, term
	r.children, r.roots, r.crowd = r.children[:0], r.roots[:0], m.hasCrowd(&rec)
	r.whole = true
	for i := range m.peers {
		if p := &m.peers[i]; !p.Meta.RelaysAll && (m.isBelow(p, &rec) || p.State == Alive && rec.Config.Has(p.ID)) {
			r.whole = false
		}
	}
	for _, v := range rec.Config.Members() {
		if p, known := m.peer(v.ID); !known || p.Meta.Relays {
			r.roots = append(r.roots, v.ID)
		}
	}
	if !r.crowd || len(r.roots) == 0 {
		return
	}
	for tree := range trees {
		r.places = r.places[:0]
		for i := range m.peers {
			if p := &m.peers[i]; m.isBelow(p, &rec) && p.Meta.Relays || p.ID == m.id && !rec.Config.Has(m.id) {
				r.places = append(r.places, placeOf(p.ID, term, tree, len(r.roots)))
			}
		}
		r.children = below(r.children, r.places, m.id, slices.Index(r.roots, m.id), placeOf(m.id, term, tree, len(r.roots)))
	}
}

// hasCrowd reports whether the flock has more observers than the goose tells itself.
func (m *Member) hasCrowd(rec *election.Record) bool {
	count := 0
	for i := range m.peers {
		if p := &m.peers[i]; m.isBelow(p, rec) || p.ID == m.id && !rec.Config.Has(m.id) {
			if count++; count > m.inViewMost() {
				return true
			}
		}
	}
	return false
}

func (m *Member) inViewMost() int {
	if m.set.InView > 0 {
		return m.set.InView
	}
	return inViewMost
}

// isBelow reports whether another agent may hear of the goose from others: a live one
// that is no voter. One whose flock gossip does not know yet may be of this one.
func (m *Member) isBelow(p *Peer, rec *election.Record) bool {
	return p.State == Alive && p.ID != m.id && (p.Meta.FlockID == rec.FlockID || p.Meta.FlockID.IsZero()) && !rec.Config.Has(p.ID)
}
