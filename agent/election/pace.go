package election

import "time"

// Pace is the length of the lease that a leader asks for, and its heartbeat. As an input
// it changes them while the node leads: every promise carries its own length, so the
// voters need not agree (rule 11). A node begins each lead with those of its settings,
// unless it is told otherwise.
type Pace struct{ Lease, Heartbeat time.Duration }

func (Pace) input() {}

// Sample is what an ack tells a leader of the path to its sender.
type Sample struct {
	Peer  ID
	Round uint64        // that is answered; larger than those of earlier samples of this peer
	Took  time.Duration // since the heartbeat left
	Pause time.Duration // of the sender's loop, as it says
}

// setPace changes the leader's pace. A longer lease is asked for at once: PromiseMax covers
// it in the same step, so it is durable before any heartbeat that asks for more (rule 11).
// A shorter one takes nothing back: what was promised stays promised.
func (n *Node) setPace(now time.Duration, p Pace, fx *Effects) {
	if n.role != Leader || p.Lease <= 0 || p.Lease > MaxPromise || p.Heartbeat <= 0 {
		return
	}
	longer := p.Lease > n.pace.Lease
	n.pace = p
	if longer {
		n.sendRound(now, fx)
	}
	n.nextRound = min(n.nextRound, n.roundAfter(now))
}

// Pace returns the pace at which this node leads, or led last.
func (n *Node) Pace() Pace { return n.pace }

// HeardLease returns the promise that the leader last heard asked for: that leader is not
// the goose for longer, unless it is heard again.
func (n *Node) HeardLease() time.Duration {
	if n.relayed() {
		return n.news.Lease
	}
	return n.heardLease
}

// longest returns the length of a lease by which this node waits for others: its own, or
// longer if the flock's is.
func (n *Node) longest() time.Duration {
	if n.role == Leader {
		return max(n.set.Lease, n.pace.Lease)
	}
	return max(n.set.Lease, n.heardLease)
}

// Longest returns the longest of the lease of the settings and the one that is in force.
func (n *Node) Longest() time.Duration { return n.longest() }

// Succeeded reports whether this leader was asked to take over by the leader before it.
func (n *Node) Succeeded() bool { return !n.former.IsZero() }

// lengthOf returns the length of the promise that ends at until.
func (n *Node) lengthOf(until time.Duration) time.Duration {
	for i := range n.peers[:n.npeers] {
		if p := &n.peers[i]; p.expiry == until {
			return p.length
		}
	}
	return n.pace.Lease
}
