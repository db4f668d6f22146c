package sim

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

const (
	// gossipEvery is the pause between two looks of an agent: memberlist's probe.
	gossipEvery = time.Second
	// forgottenAfter is how long memberlist tells dead agents that they count as dead.
	forgottenAfter = 30 * time.Second
	// rejoinMost is the longest pause of the rejoin loop.
	rejoinMost = 45 * time.Second
)

// view is how gossip shows one agent to another: a random model of memberlist. An agent
// in the same part of the network becomes alive: soon if gossip still calls it,
// otherwise at a rejoin. An agent in another part becomes suspect, then failed.
type view struct {
	id     election.ID
	agent  *agent
	addr   netip.AddrPort
	state  member.PeerState // 0: unknown
	meta   member.Meta
	tells  [2]uint64     // the life that told meta, and the number of its changes
	since  time.Duration // true time, of the state
	flipAt time.Duration // when the state changes if the network does not; 0: never
}

// view finds or adds the view of an agent, sorted by id.
func (l *life) view(id election.ID) *view {
	i, ok := slices.BinarySearchFunc(l.views, id, func(v view, id election.ID) int { return v.id.Compare(id) })
	if !ok {
		l.views = slices.Insert(l.views, i, view{id: id})
	}
	return &l.views[i]
}

// gossip is one look of an agent at all others.
func (s *Sim) gossip(l *life) {
	l.after(gossipEvery*3/4+l.random.Below(gossipEvery/2), func() { s.gossip(l) })
	if l.stopped || s.now < l.busyUntil {
		return
	}
	l.looks++
	part := s.parts()
	changed := l.seeSelf()
	for _, b := range s.agents {
		if b == l.agent || b.id.IsZero() {
			continue
		}
		if l.look(b, part[b.index] >= 0 && part[b.index] == part[l.index]) {
			changed = true
		}
	}
	// Views of lost disks fail, like those of agents that are down.
	for i := range l.views {
		v := &l.views[i]
		if v.id != l.id && (v.agent.id != v.id) && l.lose(v) {
			changed = true
		}
	}
	if changed {
		l.marked = false
		l.turn(func() error { l.member.ChangePeers(l.seen(), nil); return nil })
	}
}

// seen passes gossip's view to the member, and keeps it as the peers file.
func (l *life) seen() []member.Peer {
	peers := make([]member.Peer, 0, len(l.views))
	l.agent.peers = nil
	for i := range l.views {
		v := &l.views[i]
		p := member.Peer{ID: v.id, Addr: v.addr, State: v.state, Meta: v.meta}
		if v.state != 0 {
			peers = append(peers, p)
		}
		if v.state != 0 && v.state != member.Left && v.id != l.id {
			l.agent.peers = append(l.agent.peers, p)
		}
	}
	return peers
}

func (l *life) seeSelf() bool {
	v := l.view(l.id)
	changed := v.state != member.Alive
	v.agent, v.state = l.agent, member.Alive
	return v.hears(l) || changed || l.marked
}

// hears takes what a life tells, and reports whether it is new.
func (v *view) hears(l *life) bool {
	tells := [...]uint64{l.number, l.tells}
	news := v.tells != tells || v.addr != l.addr
	v.tells, v.meta, v.addr = tells, l.meta, l.addr
	return news
}

// look updates the view of b, and reports whether it changed.
func (l *life) look(b *agent, connected bool) bool {
	s := l.sim
	v := l.view(b.id)
	v.agent = b
	ours, its := l.member.FlockID(), election.FlockID{}
	if connected {
		its = b.life.member.FlockID()
	}
	if !connected || ours != its && !ours.IsZero() && !its.IsZero() {
		return l.lose(v) // two flocks never merge
	}
	if v.state == member.Alive {
		v.flipAt = 0
		if l.random.OneIn(20_000) { // a false alarm, soon corrected
			v.state, v.since = member.Failed, s.now
			return true
		}
		return v.hears(b.life)
	}
	if v.flipAt == 0 {
		v.flipAt = s.now + l.returnTakes(v)
	}
	if s.now < v.flipAt {
		return false
	}
	v.state, v.since, v.flipAt = member.Alive, s.now, 0
	v.hears(b.life)
	return true
}

// returnTakes returns how long it takes until an agent that can be reached is alive.
func (l *life) returnTakes(v *view) time.Duration {
	switch {
	case v.state == 0 && l.looks == 1:
		return 0 // it has just joined, and heard of all
	case v.state == 0:
		return l.random.Between(50*time.Millisecond, time.Second)
	case l.sim.now-v.since < forgottenAfter:
		return l.random.Between(200*time.Millisecond, 3*time.Second)
	}
	return l.random.Between(time.Second, rejoinMost)
}

// lose updates the view of an agent that cannot be reached.
func (l *life) lose(v *view) bool {
	s := l.sim
	if v.state != member.Alive {
		v.flipAt = 0
		return false
	}
	if v.flipAt == 0 {
		v.flipAt = s.now + l.random.Between(2*time.Second, 8*time.Second)
	}
	if s.now < v.flipAt {
		return false
	}
	v.state, v.since, v.flipAt = member.Failed, s.now, 0
	if v.agent.gone {
		v.state = member.Left
	}
	return true
}
