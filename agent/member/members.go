package member

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// PeerState is an agent's state by gossip.
type PeerState uint8

// The states. Zero is not used, so that a forgotten state is noticed.
const (
	Alive  PeerState = 1 + iota
	Failed           // gossip counts it as dead
	Left             // it has left the flock for good
)

// String gives the word that the API shows.
func (s PeerState) String() string {
	switch s {
	case Alive:
		return "alive"
	case Failed:
		return "failed"
	case Left:
		return "left"
	}
	return "unknown"
}

// Peer is one agent as gossip shows it, this one included.
type Peer struct {
	ID    election.ID
	Addr  netip.AddrPort
	State PeerState
	Meta  Meta
	RTT   time.Duration // of gossip's pings; 0: unknown
	Met   bool          // it has answered a call of this agent, so it knows this agent
}

// AddrText returns the address for people; "": unknown.
func (p *Peer) AddrText() string {
	if p.Addr.IsValid() {
		return p.Addr.String()
	}
	return ""
}

// Meta is what an agent says about itself by gossip.
type Meta struct {
	Name     string
	FlockID  election.FlockID // zero: bound to none
	Start    uint64           // process starts of its disk (rule 10)
	Life     uint64           // random per process (rule 10)
	Priority uint8
	Expect   uint8             // --expect; 0: not given
	Observer bool              // it never becomes a voter
	Accepted bool              // it takes part in a founding that is under way
	Left     bool              // gone for good
	Settled  bool              // it has run long enough to keep its name
	Work     bool              // work for the goose runs or waits here
	Health   Health            // of that work
	Relays   bool              // it takes announcements of the goose and passes them on (rule 30); builds before that do not
	Tags     map[string]string // --tag
	Version  string            // of its program; "": unknown

	PreemptAfter time.Duration // takes over from a goose of a lower priority once steady for so long; 0: never
	Freeze       FreezeNotice  // the newest it knows
	Elections    uint64        // hash of the names it contests; 0: none
	Config       ShownConfig   // of the default election (rule 27)
	RelaysAll    bool          // it passes on announcements of all elections; builds before that only those of the default one
}

// ShownConfig says how new an agent's config is.
type ShownConfig struct {
	Known      bool // false: the agent does not say
	Generation uint64
	ID         election.ConfigID
}

// MaxPreemptAfter is the largest Meta.PreemptAfter.
const MaxPreemptAfter = 24 * time.Hour

// FreezeNotice announces a freeze of the flock, or its end. The notice with the highest
// stamp counts. A stamp is the wall clock of the agent that got the command, raised
// above every stamp known there.
type FreezeNotice struct {
	Stamp uint64        `json:"stamp"`
	Left  time.Duration `json:"left_ns"` // 0: thawed, or over
}

// ChangePeers takes changes in gossip's view: agents that are new or have changed, sorted
// by id, and those that gossip has forgotten. Its cost grows with the changes, not with the
// flock.
func (m *Member) ChangePeers(changed []Peer, forgotten []election.ID) {
	var fresh []Peer
	for i := range changed {
		p := &changed[i]
		if old, known := m.peer(p.ID); known {
			if !lookAlike(old, p) {
				m.membersNow++
			}
			m.alive -= alives(old)
			*old = *p
		} else {
			m.membersNow++
			fresh = append(fresh, *p)
		}
		m.alive += alives(p)
	}
	m.peers = mergePeers(m.peers, fresh)
	for _, id := range forgotten {
		if i, known := slices.BinarySearchFunc(m.peers, id, func(p Peer, id election.ID) int { return p.ID.Compare(id) }); known {
			m.membersNow++
			m.alive -= alives(&m.peers[i])
			m.peers = slices.Delete(m.peers, i, i+1)
		}
	}
	now := m.host.Now()
	for i := range changed {
		m.hear(now, &changed[i])
	}
	m.lookSoon()
	m.relay.stale = true
	for _, e := range m.elections {
		for i := range changed {
			e.keepPeerInView(&changed[i])
		}
		e.audienceStale = true
		e.publish(now)
	}
}

// mergePeers adds peers, sorted by id too, to others.
func mergePeers(peers, more []Peer) []Peer {
	i := len(peers) - 1
	peers = append(peers, more...)
	for at := len(peers) - 1; len(more) > 0; at-- {
		if last := len(more) - 1; i < 0 || peers[i].ID.Compare(more[last].ID) < 0 {
			peers[at], more = more[last], more[:last]
		} else {
			peers[at] = peers[i]
			i--
		}
	}
	return peers
}

func alives(p *Peer) int {
	if p.State == Alive {
		return 1
	}
	return 0
}

// lookAlike reports whether readers see no difference between two views of an agent.
// What agents tell each other for elections is not shown.
func lookAlike(a, b *Peer) bool {
	x, y := *a, *b
	for _, p := range []*Peer{&x, &y} {
		p.RTT, p.Met, p.Meta.Config, p.Meta.Freeze = 0, false, ShownConfig{}, FreezeNotice{}
	}
	tags := maps.Equal(x.Meta.Tags, y.Meta.Tags)
	x.Meta.Tags, y.Meta.Tags = nil, nil
	return tags && reflect.DeepEqual(x, y)
}

// hear handles what gossip says of another agent, besides its presence.
func (m *Member) hear(now time.Duration, p *Peer) {
	if p.State != Alive || p.ID == m.id {
		return
	}
	m.addresses.Gossiped(now, p.ID, p.Meta.Start, p.Meta.Life, p.Addr)
	if p.Meta.FlockID == m.FlockID() {
		m.TakeFreeze(p.Meta.Freeze)
	}
}

// Peers gives gossip's view as this agent last took it. It is for reading.
func (m *Member) Peers() []Peer { return m.peers }

// meetPeers handles all agents that gossip knows, when this agent has just got its
// flock.
func (m *Member) meetPeers() {
	now := m.host.Now()
	for i := range m.peers {
		m.hear(now, &m.peers[i])
	}
	m.LookNow()
	m.relay.stale = true
	for _, e := range m.elections {
		e.keepInView(false)
		e.publish(now)
	}
}

// listAudience returns the live agents of the flock that the node does not keep in view.
// byTrees: without those that hear of the goose from others.
func (e *Election) listAudience(byTrees bool) []election.ID {
	m := e.m
	rec := e.node.Record()
	of := audienceOf{rec.Config.ConfigID, byTrees}
	if !e.audienceStale && e.audienceOf == of {
		return e.audience
	}
	e.audienceStale, e.audienceOf = false, of
	e.audience = e.audience[:0]
	voters := m.node().Record().Config // the trees begin below them
	for i := range m.peers {
		p := &m.peers[i]
		if p.State == Alive && p.ID != m.id && p.Meta.FlockID == rec.FlockID && !e.node.InView(p.ID) && !(byTrees && p.Meta.Relays && !voters.Has(p.ID)) {
			e.audience = append(e.audience, p.ID)
		}
	}
	return e.audience
}

// IsKnown reports whether gossip or the voters know an id.
func (m *Member) IsKnown(id election.ID) bool {
	if _, known := m.peer(id); known {
		return true
	}
	if m.node() == nil {
		return false
	}
	rec := m.node().Record()
	return rec.Config.Has(id)
}

// peer finds an agent that gossip knows.
func (m *Member) peer(id election.ID) (*Peer, bool) {
	low, high := 0, len(m.peers)
	for low < high { // without the copies of the library's search
		if i := (low + high) / 2; m.peers[i].ID.Compare(id) < 0 {
			low = i + 1
		} else {
			high = i
		}
	}
	if low == len(m.peers) || m.peers[low].ID != id {
		return nil, false
	}
	return &m.peers[low], true
}

// IsAlive reports whether gossip counts an agent as alive.
func (m *Member) IsAlive(id election.ID) bool { return m.live(id) != nil }

// live returns an agent that gossip counts as alive; nil: it does not.
func (m *Member) live(id election.ID) *Peer {
	if p, known := m.peer(id); known && p.State == Alive {
		return p
	}
	return nil
}

// shownConfig returns what gossip says about this agent's config.
func (m *Member) shownConfig() ShownConfig {
	if m.node() == nil {
		return ShownConfig{}
	}
	rec := m.node().Record()
	return ShownConfig{Known: true, Generation: rec.Generation.Number, ID: rec.Config.ConfigID}
}

// seenEvery is the pause between two checks of the configs in gossip; it is at least two
// leases, because gossip needs a moment to spread a change.
const seenEvery = 2 * time.Second

// showNewerConfig makes the node send its config to live agents with an older one (rule
// 27). Only voters do: a config that counts is known to one of them.
func (m *Member) showNewerConfig(now time.Duration) {
	e := m.Default()
	rec := e.node.Record()
	if now < m.seenAt+max(seenEvery, 2*m.span()) || !rec.Config.Has(m.id) {
		return
	}
	m.seenAt = now
	for i := range m.peers {
		p := &m.peers[i]
		if m.relay.crowd && p.Meta.Relays && !rec.Config.Has(p.ID) {
			continue // announcements show it the newer one
		}
		if c := p.Meta.Config; c.Known && p.State == Alive && p.ID != m.id && p.Meta.FlockID == rec.FlockID && c != m.shownConfig() {
			e.step(election.Seen{ID: p.ID, Generation: c.Generation, Config: c.ID})
		}
	}
}
