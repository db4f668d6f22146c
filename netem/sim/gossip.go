package sim

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

const (
	// gossipEvery is how often an agent looks around: memberlist's probe.
	gossipEvery = time.Second
	// forgottenAfter is when memberlist stops telling the dead that they are.
	forgottenAfter = 30 * time.Second
	// rejoinMost bounds the wait of the rejoin loop.
	rejoinMost = 45 * time.Second
)

// view is one agent as gossip shows it to another: a chance model of
// memberlist. Who is in the same part of the network becomes alive, soon when
// gossip still speaks to it, at a rejoin when it does not; who is not is
// suspected, and then failed.
type view struct {
	id     election.ID
	agent  *agent
	addr   netip.AddrPort
	state  member.PeerState // 0: not heard of
	meta   member.Meta
	tells  [2]uint64     // the life that told meta, and how often it had told something
	since  time.Duration // true time, of the state
	flipAt time.Duration // when the state will change if things stay as they are; 0: not due
}

// view finds or makes the view of an agent, in the order of ids.
func (l *life) view(id election.ID) *view {
	i, ok := slices.BinarySearchFunc(l.views, id, func(v view, id election.ID) int { return v.id.Compare(id) })
	if !ok {
		l.views = slices.Insert(l.views, i, view{id: id})
	}
	return &l.views[i]
}

// gossip is one look around.
func (s *Sim) gossip(l *life) {
	l.after(gossipEvery*3/4+l.dice.Below(gossipEvery/2), func() { s.gossip(l) })
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
	// Views of disks that were lost fail like those of agents that are down.
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

// seen gives gossip's view to the member, and keeps it as the peers file.
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

// hears takes what a life tells, and tells whether that is news.
func (v *view) hears(l *life) bool {
	tells := [...]uint64{l.number, l.tells}
	news := v.tells != tells || v.addr != l.addr
	v.tells, v.meta, v.addr = tells, l.meta, l.addr
	return news
}

// look moves the view of b along, and tells whether that changed it.
func (l *life) look(b *agent, connected bool) bool {
	s := l.sim
	v := l.view(b.id)
	v.agent = b
	ours, its := l.member.FlockID(), election.FlockID{}
	if connected {
		its = b.life.member.FlockID()
	}
	if !connected || ours != its && !ours.IsZero() && !its.IsZero() {
		return l.lose(v) // two founded flocks never merge
	}
	if v.state == member.Alive {
		v.flipAt = 0
		if l.dice.OneIn(20_000) { // a false alarm, soon taken back
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

// returnTakes is how long it takes until one that can be reached is seen alive.
func (l *life) returnTakes(v *view) time.Duration {
	switch {
	case v.state == 0 && l.looks == 1:
		return 0 // it has just joined, and was told of all
	case v.state == 0:
		return l.dice.Between(50*time.Millisecond, time.Second)
	case l.sim.now-v.since < forgottenAfter:
		return l.dice.Between(200*time.Millisecond, 3*time.Second)
	}
	return l.dice.Between(time.Second, rejoinMost)
}

// lose moves the view of one that cannot be reached along.
func (l *life) lose(v *view) bool {
	s := l.sim
	if v.state != member.Alive {
		v.flipAt = 0
		return false
	}
	if v.flipAt == 0 {
		v.flipAt = s.now + l.dice.Between(2*time.Second, 8*time.Second)
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
