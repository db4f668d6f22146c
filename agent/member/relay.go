package member

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// fanOut bounds the agents to which one passes news on in each tree.
	fanOut = 1 << digitBits
	// digitBits is how many bits of its key choose an agent's branch at each level.
	digitBits = 3
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
)

// relay passes on who the goose is, to the agents that are no voters (rule 30). The goose
// tells the voters. All agents compute the same trees below the voters from gossip's
// view, and each passes on what is new to it.
type relay struct {
	passed   passed
	config   election.ConfigID // as passed on last
	shows    int               // how often that config still goes along
	children []election.ID     // whom this agent tells
	roots    []election.ID     // the voters that pass news on
	crowd    bool              // the flock has too many observers for the goose to tell
	stale    bool              // gossip's view has changed since children were computed
	of       election.ConfigID
	term     uint64
	places   []place
	passedAt time.Duration // when news were last passed on
	repeated bool          // they were, since they are new
	round    uint64        // the last one heard of: see noteLoss
	loss     float64       // the share of rounds that this agent misses
	told     int           // asking agents, since told was last reset at toldAt
	toldAt   time.Duration
	asked    int           // voters, when this agent looked for the goose
	metAt    time.Duration // when it met its flock; 0: not yet
}

// passed is what makes news worth passing on: it differs from what was passed on last.
type passed struct {
	goose  election.ID
	term   uint64
	slot   uint64 // of the round: passesPerLease of them are in a lease
	config election.ConfigID
}

// place is an observer's place in a tree.
type place struct {
	id   election.ID
	root int // the voter above it
	key  uint64
}

// passOn tells the agents below this one in the trees what is new of the goose.
func (m *Member) passOn(now time.Duration) {
	e, r := m.Default(), &m.relay
	news := e.node.News()
	if news.Goose.IsZero() {
		return
	}
	config := e.node.ConfigID()
	rounds := m.slotRounds(news.Lease)
	at := passed{news.Goose, news.Term, news.Round / rounds, config}
	m.noteLoss(&news, rounds)
	again := at == r.passed
	if now-news.At >= news.Lease || again && (r.repeated || r.loss < repeatFrom || now-r.passedAt < time.Duration(rounds)*m.set.Heartbeat/2) {
		return
	}
	r.passed, r.passedAt, r.repeated = at, now, again
	m.seat(news.Term)
	if !r.crowd {
		return
	}
	if config != r.config {
		r.config, r.shows = config, 2
	}
	msg := e.node.Announcement(now, r.shows > 0)
	r.shows = max(r.shows-1, 0)
	for _, id := range r.children {
		msg.To = id
		e.sendAt(now, &msg)
	}
}

// noteLoss measures the share of the rounds that this agent misses. A voter should hear
// of each round, an observer of one in rounds.
func (m *Member) noteLoss(news *election.News, rounds uint64) {
	r := &m.relay
	if m.node().IsVoter() {
		rounds = 1
	}
	was, is := r.round/rounds, news.Round/rounds
	r.round = news.Round
	if is <= was || news.Goose != r.passed.goose || news.Term != r.passed.term {
		return
	}
	missed := 0.0
	if is > was+1 {
		missed = 1
	}
	r.loss += (missed - r.loss) / 16
}

// tellsByTrees reports whether trees carry the news, instead of the goose, to those that
// relay it.
func (m *Member) tellsByTrees() bool {
	m.seat(m.node().News().Term)
	return m.relay.crowd
}

// slotRounds is the number of heartbeats between two that are passed on. lease is the
// goose's.
func (m *Member) slotRounds(lease time.Duration) uint64 {
	return uint64(max(min(lease, m.set.Lease)/(passesPerLease*m.set.Heartbeat), 1))
}

// tellGoose answers an agent that is no voter and has heard no goose (see seekGoose).
func (m *Member) tellGoose(msg *election.Message) {
	e, r, now := m.Default(), &m.relay, m.frameAt
	news := e.node.News()
	rec := e.node.Record()
	if msg.Nonce != 0 || now-news.At >= news.Lease || rec.Config.Has(msg.From) {
		return
	}
	if now-r.toldAt >= m.set.Heartbeat {
		r.told, r.toldAt = 0, now
	}
	if r.told++; r.told > toldMost {
		return
	}
	answer := e.node.Announcement(now, msg.ConfigID != rec.Config.ConfigID)
	answer.To = msg.From
	e.sendAt(now, &answer)
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

// placeOf returns an observer's place in a tree. Trees change with the term, so the work
// moves. Two trees never put an agent below the same voter.
func placeOf(id election.ID, term uint64, tree, voters int) place {
	h := mix(binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:]) ^ mix(term))
	p := place{id: id, root: share(h, voters)}
	for range tree {
		h = mix(h)
		if voters > 1 {
			p.root = (p.root + 1 + share(h, voters-1)) % voters
		}
	}
	p.key = mix(^h)
	return p
}

// share maps a hash to one of n equal parts.
func share(h uint64, n int) int {
	part, _ := bits.Mul64(h, uint64(n))
	return int(part)
}

// mix is the finalizer of splitmix64: every bit of x decides every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// below appends the agents that this one tells in a tree. A tree divides its agents by
// the next digit of their keys; the smallest key of each branch tells the rest of it. So
// a change of one agent moves no others but those on its own way.
//
// own is this agent's place, used if it is no voter: voter < 0.
func below(dst []election.ID, places []place, self election.ID, voter int, own place) []election.ID {
	root := own.root
	if voter >= 0 {
		root = voter
	}
	places = keep(places, func(p *place) bool { return p.root == root })
	level := uint(0)
	for ; voter < 0; level++ {
		if level*digitBits >= 63 {
			return dst
		}
		digit := digitOf(own.key, level)
		places = keep(places, func(p *place) bool { return digitOf(p.key, level) == digit })
		first := own
		for i := range places {
			if p := &places[i]; p.key < first.key {
				first = *p
			}
		}
		places = keep(places, func(p *place) bool { return p.id != first.id })
		if first.id == self {
			level++
			break
		}
	}
	var firsts [fanOut]*place
	for i := range places {
		if at := &firsts[digitOf(places[i].key, level)]; *at == nil || places[i].key < (*at).key {
			*at = &places[i]
		}
	}
	for _, p := range firsts {
		if p != nil && !slices.Contains(dst, p.id) { // it may be below this agent in both trees
			dst = append(dst, p.id)
		}
	}
	return dst
}

// digitOf returns a digit of a key, the highest first.
func digitOf(key uint64, level uint) int { return int(key << (level * digitBits) >> (64 - digitBits)) }

// keep keeps the places for which holds is true.
func keep(places []place, holds func(*place) bool) []place {
	kept := places[:0]
	for i := range places {
		if holds(&places[i]) {
			kept = append(kept, places[i])
		}
	}
	return kept
}
