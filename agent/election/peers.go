package election

import (
	"slices"
	"time"
)

// maxPeers bounds the agents in view: all voters, and observers that may become voters.
const maxPeers = 16

// peer is what a node knows of another agent.
type peer struct {
	id ID

	// As leader, of this term.
	round  uint64        // the newest round acknowledged
	path   time.Duration // when that round was sent: the path to it and back was whole then
	expiry time.Duration // until when it has promised, by our clock (rule 14)
	length time.Duration // of that promise
	acked  ConfigID      // the config it showed in that ack
	term   uint64        // a term above ours that it showed while no voter (rule 7)
	mark   uint64        // the largest mark it acknowledged (rule 29)
	// unmarked: it answered a heartbeat that carried a mark without one, so it is of a version without marks.
	unmarked bool

	fitness Fitness
	workAt  time.Duration // since when it has work; 0: it has none

	// As candidate, of this round of asking.
	granted bool
	refused bool          // for good, in this term
	retryAt time.Duration // it answered "promised until then" (rule 23); 0: ask again at askAt
	firstAt time.Duration // when the first question left, or the first after retryAt
	askAt   time.Duration // when the next question is due, if it has not answered by then
	asks    uint8         // questions since firstAt

	// Of this process.
	ackAt    time.Duration // when the last ack arrived
	anyAckAt time.Duration // when its last ack to any leader arrived, as far as this node knows; 0: it does not
	rtt      time.Duration // smoothed; 0 while unknown
	measured time.Duration // when the latest PreVoteRequest left that told the rtt
	rejectAt time.Duration // when the next Reject may go to it (rule 9)
}

// silent reports whether a voter has not answered this round of questions.
func (p *peer) silent() bool { return !p.granted && !p.refused && p.retryAt == 0 }

// peerOf returns an agent in view, or nil.
func (n *Node) peerOf(id ID) *peer {
	for i := range n.peers[:n.npeers] {
		if n.peers[i].id == id {
			return &n.peers[i]
		}
	}
	return nil
}

// InView reports whether this node counts an agent's acks: a voter, or one that may
// become a voter.
func (n *Node) InView(id ID) bool { return n.peerOf(id) != nil }

// observe takes an agent into view. If there is no room, a voter replaces an observer.
func (n *Node) observe(id ID) {
	if id == n.set.ID || n.peerOf(id) != nil {
		return
	}
	if n.npeers == maxPeers && n.rec.Config.Has(id) {
		i := slices.IndexFunc(n.peers[:], func(p peer) bool { return !n.rec.Config.Has(p.id) })
		n.forget(n.peers[i].id)
	}
	if n.npeers < maxPeers {
		n.peers[n.npeers] = peer{id: id}
		n.npeers++
	}
}

func (n *Node) forget(id ID) {
	if !n.rec.Config.Has(id) {
		n.npeers = uint8(len(slices.DeleteFunc(n.peers[:n.npeers], func(p peer) bool { return p.id == id }))) // it clears the rest
	}
}

// observeVoters takes every voter of the config into view.
func (n *Node) observeVoters() {
	for _, v := range n.rec.Config.Members() {
		n.observe(v.ID)
	}
}

// kthLatest returns the k-th largest of the voters' values; self is this node's.
func (n *Node) kthLatest(c *Config, k int, self time.Duration, of func(*peer) time.Duration) time.Duration {
	if k < 1 || k > int(c.N) {
		return 0
	}
	var largest [MaxVoters]time.Duration // the first of them, sorted
	for i := range c.Members() {
		t := time.Duration(0)
		if id := &c.Voters[i].ID; *id == n.set.ID {
			t = self
		} else if p := n.peerNear(i, id); p != nil {
			t = of(p)
		}
		at := i
		for ; at > 0 && largest[at-1] < t; at-- {
			largest[at] = largest[at-1]
		}
		largest[at] = t
	}
	return largest[k-1]
}

// peerNear is peerOf for voter i of the config: voters are mostly in view in their order,
// without this node.
func (n *Node) peerNear(i int, id *ID) *peer {
	for at := min(i, int(n.npeers)-1); at >= max(i-1, 0); at-- {
		if n.peers[at].id == *id {
			return &n.peers[at]
		}
	}
	return n.peerOf(*id)
}

// roundTrip estimates a round trip to the slowest of the fastest majority, including
// this node. A follower uses its leader's estimate, and after a failed election also
// those of the voters that answered it.
func (n *Node) roundTrip() time.Duration {
	if n.role != Leader && n.failures == 0 {
		return n.leaderRTT
	}
	var ts [MaxVoters]time.Duration
	count := 0
	for i := range n.rec.Config.Members() {
		p := n.peerNear(i, &n.rec.Config.Voters[i].ID)
		if p == nil || p.rtt == 0 || n.role != Leader && p.silent() {
			continue
		}
		ts[count] = p.rtt
		count++
	}
	if count == 0 {
		return n.leaderRTT
	}
	slices.Sort(ts[:count])
	rtt := ts[max(min(count, n.rec.Config.Quorum()-1), 1)-1]
	if n.role != Leader {
		rtt = max(rtt, n.leaderRTT)
	}
	return rtt
}
