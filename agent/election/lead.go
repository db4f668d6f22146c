package election

import (
	"slices"
	"time"
)

// becomeLeader takes the term (rule 4). Votes are no promises: this node is the
// goose only after a round of acks (rule 14).
func (n *Node) becomeLeader(now time.Duration, fx *Effects) {
	n.role = Leader
	n.leader, n.leaderTerm, n.heardAt = n.set.ID, n.rec.Term, now
	n.rec.Config.Term = n.rec.Term
	n.wonAt, n.quorateAt = now, now+n.set.Lease
	n.failures, n.marked = 0, false
	n.pace = Pace{n.set.Lease, n.set.Heartbeat}
	n.dropLease()
	n.former, n.formerUntil = n.transferFrom, 0
	if !n.former.IsZero() {
		n.formerUntil = now + 2*n.longest()
	}
	for i := range n.peers[:n.npeers] {
		p := &n.peers[i]
		p.round, p.term = 0, 0
		p.mark, p.unmarked = 0, false
		p.bookFitness(now, 0)
	}
	n.resumeAges(now)
	fx.event(EventWon, n.rec.Term, ID{})
	n.sendRound(now, fx)
}

// leaveLead forgets what counts only for a leader of this term, but not the deadlines of
// its holders (rule 12).
func (n *Node) leaveLead() {
	n.gaveUp, n.raiseTo, n.timeoutAt = false, 0, 0
	n.hasPending, n.pending = false, Change{}
	n.lease = Lease{}
	n.heardLease = n.pace.Lease
}

// lead is the leader's tick.
func (n *Node) lead(now time.Duration, fx *Effects) {
	if n.gaveUp {
		n.handOver(now, fx)
	} else if !n.quorate(now) && now >= n.quorateAt+n.longest() {
		fx.event(EventNotQuorate, n.rec.Term, ID{})
		n.retire(now, now)
	}
	if n.role == Leader && now >= n.nextRound {
		n.sendRound(now, fx)
	}
}

// retire stands down without a successor, and stays silent until two leases after from
// (rules 16, 20).
func (n *Node) retire(now, from time.Duration) {
	n.leaveLead()
	n.role = Follower
	n.leader = ID{}
	n.quietUntil = from + 2*n.longest()
	n.schedule(now)
}

// quorate reports whether a majority has acknowledged a heartbeat that left less than a
// lease's worth ago (rule 20). A leader whose acks take longer is never the goose, and
// must not hold promises. A new leader has the time of one lease.
func (n *Node) quorate(now time.Duration) bool {
	if whole := n.wholeAt(now); whole > 0 {
		n.quorateAt = max(n.quorateAt, whole+n.worth(n.pace.Lease))
	}
	return now < n.quorateAt
}

// wholeAt returns when those heartbeats left that last proved the paths to a majority;
// 0: never.
func (n *Node) wholeAt(now time.Duration) time.Duration {
	return n.kthLatest(&n.rec.Config, n.rec.Config.Quorum(), now, func(p *peer) time.Duration { return p.path })
}

// leaseEnd is rule 14: the end of the promises of a majority of c, counted from the SEND
// of the heartbeats. 0: no majority.
func (n *Node) leaseEnd(c *Config) time.Duration {
	return n.kthLatest(c, c.Quorum(), n.selfExpiry, func(p *peer) time.Duration { return p.expiry })
}

// sendRound sends a heartbeat to all agents in view. Only a quorate leader asks for
// promises.
func (n *Node) sendRound(now time.Duration, fx *Effects) {
	n.round++
	asked := time.Duration(0)
	if !n.gaveUp && n.quorate(now) {
		asked = n.pace.Lease
		n.keepPromiseMax(now, asked) // the leader is bound by its own promise, too (rule 11)
		n.selfExpiry = now + n.worth(asked)
	}
	n.rounds[n.round%maxRounds] = round{now, asked, n.rec.Mark}
	n.nextRound = n.roundAfter(now)
	m := Message{Kind: Heartbeat, Round: n.round, Promise: asked, Ranks: n.rank24(now), Ages: n.ages(now), RTT: n.roundTrip()}
	for i := range n.peers[:n.npeers] {
		p := &n.peers[i]
		m.Config = Config{}
		if p.acked != n.rec.Config.ConfigID {
			m.Config = n.rec.Config
		}
		m.Mark = n.markFor(p)
		n.send(p.id, m, fx)
	}
	if asked > 0 {
		n.news = News{Goose: n.set.ID, Term: n.rec.Term, Round: n.round, Lease: asked, At: now, Ages: m.Ages}
	}
	m.Config, m.Mark = n.rec.Config, 0
	fx.Announce, fx.Announcement = true, n.stamped(m)
}

// roundAfter returns when the next round is due. A late round does not move it.
func (n *Node) roundAfter(now time.Duration) time.Duration {
	h := n.pace.Heartbeat
	if n.set.Grid > 0 {
		return now + h/4 + h - (now+h/4-n.set.Grid)%h
	}
	if late := now - n.nextRound; late >= 0 && late < h {
		return n.nextRound + h
	}
	return now + h
}

// beat moves the grid to just after now, so that the next Beat comes before the next round.
func (n *Node) beat(now time.Duration, fx *Effects) {
	if n.role != Leader || n.set.Grid == 0 {
		return
	}
	h := n.pace.Heartbeat
	n.set.Grid = now + h/beatSlack
	if n.nextRound-now <= h/4 {
		n.nextRound = now
		n.lead(now, fx) // while Beats send all rounds, no Tick is due
	}
}

// handleAck records a promise. It counts from when its heartbeat left, by this node's
// own table.
func (n *Node) handleAck(now time.Duration, m *Message, fx *Effects) {
	p := n.peerOf(m.From)
	if n.role != Leader || m.Term != n.rec.Term || p == nil ||
		m.Round < n.firstRound || m.Round > n.round || n.round-m.Round >= maxRounds {
		return
	}
	r := n.rounds[m.Round%maxRounds]
	p.ackAt, p.anyAckAt = now, now
	if m.Round > p.round {
		p.round, p.path, p.acked = m.Round, r.sentAt, m.ConfigID
		n.bookMark(p, &r, m.Mark)
		p.bookFitness(now, m.Fitness)
		p.rtt = smooth(p.rtt, min(now-r.sentAt-max(m.Held, 0), n.longest())) // a paused voter must not look far away
		fx.Sampled, fx.Sample = true, Sample{Peer: p.id, Round: m.Round, Took: now - r.sentAt, Pause: m.Pause}
	}
	if d := min(r.asked, m.Promise); d > 0 {
		if until := r.sentAt + n.worth(d); until > p.expiry {
			p.expiry, p.length = until, d
		}
	}
}

// smooth is TCP's estimator of a round trip (RFC 6298), without the variance.
func smooth(old, sample time.Duration) time.Duration {
	sample = max(sample, 1)
	if old == 0 {
		return sample
	}
	return old + (sample-old)/8
}

// dropLease forgets every promise so far; acks of earlier rounds bring none back (rule
// 17).
func (n *Node) dropLease() {
	n.firstRound = n.round + 1
	n.selfExpiry = 0
	n.lease = Lease{}
	for i := range n.peers[:n.npeers] {
		n.peers[i].expiry, n.peers[i].path = 0, 0
	}
}

// publish sets the lease that readers may see (rules 14, 15). Within a term it
// only grows: what would shorten it drops it or waits (rule 5).
func (n *Node) publish() {
	if n.role != Leader || n.gaveUp {
		n.lease = Lease{}
		return
	}
	if n.marked = n.marked || n.markHeld(); !n.marked {
		return // what was committed in earlier terms comes first (rule 29)
	}
	end := n.leaseEnd(&n.rec.Config)
	if n.hasPending {
		next := n.changed(n.pending)
		end = min(end, n.leaseEnd(&next))
	}
	if end > n.lease.Until {
		n.lease = Lease{n.rec.Token(), end, n.lengthOf(end)}
	}
	if n.lease.Until == 0 {
		return
	}
	if n.holders {
		n.handedTo = max(n.handedTo, n.lease.Until)
	}
}

// rank24 orders the voters as successors (rules 24, 28).
func (n *Node) rank24(now time.Duration) (ranks [MaxVoters]uint8) {
	var worths [MaxVoters]worth
	count := int(n.rec.Config.N)
	for i := range count {
		worths[i] = n.worthiness(now, i)
	}
	for i := range count {
		for j := range i {
			if worths[j].before(&worths[i]) {
				ranks[i]++
			} else {
				ranks[j]++
			}
		}
	}
	return ranks
}

// worth orders the voters, smallest first.
type worth [6]uint64

func (w *worth) before(other *worth) bool { return slices.Compare(w[:], other[:]) < 0 }

// worthiness ranks a voter by health, work, priority, fresh acks and round trip, in
// steps larger than noise. This node, witnesses and, for a while, the former goose come
// last. No two are equal.
func (n *Node) worthiness(now time.Duration, i int) worth {
	v := &n.rec.Config.Voters[i]
	w := worth{0, 1, 255 - uint64(v.Priority), 1 << 62, 0, n.place(i)}
	fitness := Fitness(0)
	if p := n.peerNear(i, &v.ID); p != nil {
		fitness = p.fitness
		w[3], w[4] = (n.round-p.round)/2, uint64(p.rtt/rankFloor)
	}
	if fitness&HasWork != 0 {
		w[1] = 0
	}
	switch {
	case v.ID == n.set.ID:
		w[0] = 4
	case v.Priority == 0:
		w[0] = 3
	case fitness&Unwell != 0:
		w[0] = 2
	case v.ID == n.former && now < n.formerUntil:
		w[0] = 1
	}
	return w
}
