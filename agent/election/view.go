package election

import "time"

// Record gives what is durable as of the last step.
func (n *Node) Record() Record { return n.rec }

// Warm reads a field from each part of the node that a step reads. Read one after the other,
// these come from memory at the same time; in a step, each would wait for the last. The sum
// means nothing.
func (n *Node) Warm() (sum uint64) {
	return n.set.Life + n.rec.Term + n.rec.Config.Version + uint64(n.rec.Config.Voters[3].Priority) + uint64(n.rec.PromiseMax) +
		n.leaderTerm + n.heard.round + n.news.Round + n.promise.Term + uint64(n.target) + uint64(n.quietUntil) + uint64(n.pace.Lease) +
		n.round + n.lease.Token
}

// ConfigID gives the record's, without the rest of it.
func (n *Node) ConfigID() ConfigID { return n.rec.Config.ConfigID }

// Generation gives the record's, without the rest of it.
func (n *Node) Generation() Generation { return n.rec.Generation }

// Rank gives this node's place in the line of succession, from 0 (rule 24).
func (n *Node) Rank() int { return n.ownRank() }

// Role gives the node's role.
func (n *Node) Role() Role { return n.role }

// Lease gives the lease to publish; it counts only while its Until is ahead.
func (n *Node) Lease() Lease { return n.lease }

// Promise gives the last promise made.
func (n *Node) Promise() Promise { return n.promise }

// WaitUntil gives the end of the wait after a restart (rule 13).
func (n *Node) WaitUntil() time.Duration { return n.waitUntil }

// QuietUntil gives the end of the silence after standing down (rules 16, 20).
func (n *Node) QuietUntil() time.Duration { return n.quietUntil }

// HandedTo gives the latest deadline that holders may still act by; 0: none.
func (n *Node) HandedTo() time.Duration { return n.handedTo }

// HandingOver reports whether the leader has given up in this term.
func (n *Node) HandingOver() bool { return n.gaveUp }

// PromisedAt returns when those heartbeats left by which a majority is bound to this
// leader; 0: no majority.
func (n *Node) PromisedAt(now time.Duration) time.Duration {
	if n.role != Leader {
		return 0
	}
	return n.wholeAt(now)
}

// Heard returns the leader last heard, its term, and when it last asked for a promise;
// zero: none. Agents that are no voters hear of it from others, too (rule 30).
func (n *Node) Heard() (id ID, term uint64, at time.Duration) {
	if n.relayed() {
		return n.news.Goose, n.news.Term, n.news.At
	}
	return n.leader, n.leaderTerm, n.heardAt
}

// relayed reports whether the newest of a goose came from others.
func (n *Node) relayed() bool { return n.news.relayed && n.news.At > n.heardAt }

// IsVoter reports whether this node is a voter of its own config.
func (n *Node) IsVoter() bool { return n.rec.Config.Has(n.set.ID) }

// InViewBesidesVoters counts the agents in view that are no voters.
func (n *Node) InViewBesidesVoters() (count int) {
	for i := range n.peers[:n.npeers] {
		if !n.rec.Config.Has(n.peers[i].id) {
			count++
		}
	}
	return count
}

// Contact is what a node knows of an agent in view: as the leader, but for the RTT.
type Contact struct {
	ID      ID
	AckAt   time.Duration // when its last ack came; 0: never
	InTerm  bool          // it has acknowledged a heartbeat of this term
	Current bool          // it has acknowledged the current config
	RTT     time.Duration // by its acks and its answers to PreVotes, at most a lease; 0 while unknown
	Expiry  time.Duration // until when its promise counts, by our clock
	Term    uint64        // a term above ours that it showed while no voter; 0: none
	Fitness Fitness       // as its last ack told
	WorkAt  time.Duration // since when it has work; 0: it has none
}

// Answers reports whether it has acknowledged a heartbeat of this term within a lease.
func (c *Contact) Answers(now, lease time.Duration) bool { return c.InTerm && now-c.AckAt < lease }

// TooFar reports whether its answers take longer than the lease is worth: then
// neither can lead with the other's promise (rule 20). A voter that was paused looks so
// for a moment.
func (n *Node) TooFar(c *Contact) bool { return c.RTT >= n.worth(n.longest()) }

// Contacts appends what this node knows of the agents in view to dst.
func (n *Node) Contacts(dst []Contact) []Contact {
	for i := range n.peers[:n.npeers] {
		p := &n.peers[i]
		dst = append(dst, Contact{
			ID: p.id, AckAt: p.ackAt, InTerm: p.round > 0, RTT: p.rtt, Expiry: p.expiry, Term: p.term,
			Current: p.acked == n.rec.Config.ConfigID, Fitness: p.fitness, WorkAt: p.workAt,
		})
	}
	return dst
}
