package sim

import (
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
)

const (
	// gossipEvery is how often an agent looks around: memberlist's probe.
	gossipEvery = time.Second
	// forgottenAfter is when memberlist stops telling the dead that they are.
	forgottenAfter = 30 * time.Second
	// rejoinMost bounds the wait of the rejoin loop.
	rejoinMost = 45 * time.Second
)

// peerState is what gossip says of another agent.
type peerState uint8

const (
	unknownPeer peerState = iota
	alivePeer
	failedPeer
	leftPeer
)

// meta is what an agent tells of itself by gossip.
type meta struct {
	flock    election.FlockID
	start    uint64
	life     uint64
	priority uint8
	observer bool
	expect   int
	left     bool
}

// view is one agent as gossip shows it to another: a chance model of
// memberlist. Who is in the same part of the network becomes alive, soon when
// gossip still speaks to it, at a rejoin when it does not; who is not is
// suspected, and then failed.
type view struct {
	id     election.ID
	agent  *agent
	addr   netip.AddrPort
	state  peerState
	meta   meta
	since  time.Duration // true time, of the state
	flipAt time.Duration // when the state will change if things stay as they are; 0: not due
}

func (l *life) meta() meta {
	m := meta{flock: l.flockID(), start: l.start, life: l.number, priority: l.priority, observer: l.observer, left: l.leaves && l.stopping.done}
	if l.expects {
		m.expect = l.sim.set.Expect
	}
	return m
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
	s.queue.push(occurrence{at: s.now + gossipEvery*3/4 + below(&l.dice, gossipEvery/2), what: onGossip, agent: l.agent, life: l.number})
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
	if !changed {
		return
	}
	err := l.membersChanged()
	if err == nil {
		err = l.turn()
	}
	s.fail(l, err)
}

func (l *life) seeSelf() bool {
	v := l.view(l.id)
	m := l.meta()
	changed := v.state != alivePeer || v.meta != m || v.addr != l.addr
	v.agent, v.addr, v.state, v.meta = l.agent, l.addr, alivePeer, m
	return changed
}

// look moves the view of b along, and tells whether that changed it.
func (l *life) look(b *agent, connected bool) bool {
	s := l.sim
	v := l.view(b.id)
	v.agent = b
	if !connected || b.life.node != nil && l.node != nil && b.life.flockID() != l.flockID() {
		return l.lose(v) // two founded flocks never merge
	}
	m := b.life.meta()
	if v.state == alivePeer {
		v.flipAt = 0
		if oneIn(&l.dice, 20_000) { // a false alarm, soon taken back
			v.state, v.since = failedPeer, s.now
			return true
		}
		changed := v.meta != m || v.addr != b.addr
		v.meta, v.addr = m, b.addr
		return changed
	}
	if v.flipAt == 0 {
		v.flipAt = s.now + l.returnTakes(v)
	}
	if s.now < v.flipAt {
		return false
	}
	v.state, v.since, v.flipAt, v.meta, v.addr = alivePeer, s.now, 0, m, b.addr
	return true
}

// returnTakes is how long it takes until one that can be reached is seen alive.
func (l *life) returnTakes(v *view) time.Duration {
	switch {
	case v.state == unknownPeer && l.looks == 1:
		return 0 // it has just joined, and was told of all
	case v.state == unknownPeer:
		return between(&l.dice, 50*time.Millisecond, time.Second)
	case l.sim.now-v.since < forgottenAfter:
		return between(&l.dice, 200*time.Millisecond, 3*time.Second)
	}
	return between(&l.dice, time.Second, rejoinMost)
}

// lose moves the view of one that cannot be reached along.
func (l *life) lose(v *view) bool {
	s := l.sim
	if v.state != alivePeer {
		v.flipAt = 0
		return false
	}
	if v.flipAt == 0 {
		v.flipAt = s.now + between(&l.dice, 2*time.Second, 8*time.Second)
	}
	if s.now < v.flipAt {
		return false
	}
	v.state, v.since, v.flipAt = failedPeer, s.now, 0
	if v.agent.gone {
		v.state = leftPeer
	}
	return true
}

// newID draws an id.
func (s *Sim) newID(dice *netem.Dice) (id [16]byte) {
	_, _ = (&diceReader{dice}).Read(id[:])
	return id
}
