package election

import (
	"math/bits"
	"time"
)

// handleHeartbeat follows a leader and promises it to elect nobody else for a
// while (rules 3, 7, 8, 11).
func (n *Node) handleHeartbeat(now time.Duration, m *Message, fx *Effects) {
	switch {
	case m.Term < n.rec.Term:
		if !n.rec.Config.Has(n.set.ID) && m.ConfigID.Compare(n.rec.Config.ConfigID) >= 0 {
			// A non-member with a higher term shows the flock's goose, and acks nothing (rule
			// 7).
			n.hear(now, m)
		}
		n.reject(now, m, fx)
		return
	case m.Term > n.rec.Term:
		if !n.trusted(m) {
			return
		}
		n.adoptTerm(now, m.Term, fx) // a leader or candidate of an older term stops
		n.rec.Vote = m.From          // rule 8
	case n.role == Leader:
		fx.event(EventTwoLeaders, m.Term, m.From)
		return
	case n.rec.Vote.IsZero():
		n.rec.Vote = m.From
	}
	if n.heard.leader != m.From || n.heard.term != m.Term {
		n.heard = heard{leader: m.From, term: m.Term}
	}
	if m.Round <= n.heard.round {
		return // a copy or a late one: it promises nothing, and its ack would be outdated
	}
	n.heard.round = m.Round
	// A leader that asks for no promise ends no PreVote (rule 20).
	if n.role == Candidate || n.asked(m) > 0 {
		n.follow(now, m.From, fx)
	}
	n.hear(now, m)
	n.failures = 0
	if i := n.rec.Config.Index(n.set.ID); i >= 0 && m.ConfigID == n.rec.Config.ConfigID {
		n.rank, n.ranked = m.Ranks[i], true
	}
	if n.named(m) && m.ConfigID == n.rec.Config.ConfigID {
		n.takeAges(now, m)
	}
	d := n.promiseTo(now, m)
	ack := Message{Kind: HeartbeatAck, Round: m.Round, Promise: d, Fitness: n.fitness}
	if m.Mark > 0 {
		n.takeMark(m.Mark)
		ack.Mark = n.rec.Mark
	}
	n.send(m.From, ack, fx)
}

// hear records the leader. A leader that asks for no promise is not the goose.
func (n *Node) hear(now time.Duration, m *Message) {
	n.leader, n.leaderTerm = m.From, m.Term
	if d := n.asked(m); d > 0 {
		d = min(d, MaxPromise)
		n.heardAt, n.heardLease = now, d
		n.news = News{Goose: m.From, Term: m.Term, Round: m.Round, Lease: d, At: now, Ages: m.Ages}
	}
	if m.RTT > 0 {
		n.leaderRTT = min(m.RTT, n.longest())
	}
}

// promiseTo grants what a fresh heartbeat asks for, and returns the promise; 0: none.
func (n *Node) promiseTo(now time.Duration, m *Message) time.Duration {
	d := min(n.asked(m), MaxPromise)
	if d <= 0 || now < n.handedTo {
		return 0 // this node is promised to itself while its holders act (rule 12)
	}
	n.keepPromiseMax(now, d)
	n.promise = Promise{m.From, m.Term, max(n.promise.End, now+d)}
	n.schedule(now)
	return d
}

// keepPromiseMax raises PromiseMax before a promise above it is made, and lowers
// it once no promise above the new value can run (rule 11).
func (n *Node) keepPromiseMax(now time.Duration, d time.Duration) {
	target := n.set.Lease
	if d > target {
		target = min(coarse(d), MaxPromise)
	}
	if target != n.target {
		n.target, n.targetSince = target, now
	}
	if target > n.rec.PromiseMax || now >= n.waitUntil && now-n.targetSince >= n.rec.PromiseMax {
		n.rec.PromiseMax = target
	}
}

// coarse rounds up to a power of two of milliseconds, so that PromiseMax changes rarely.
func coarse(d time.Duration) time.Duration {
	ms := uint64((d + time.Millisecond - 1) / time.Millisecond)
	return time.Duration(uint64(1)<<bits.Len64(ms-1)) * time.Millisecond
}

// handleTimeoutNow campaigns at once, as the leader asks for it: without PreVote
// and past the promise to that leader, not past rule 13 (rule 16).
func (n *Node) handleTimeoutNow(now time.Duration, m *Message, fx *Effects) {
	asks := n.role == Follower && m.Term == n.rec.Term && n.leader == m.From && n.leaderTerm == m.Term
	bound := now < n.promise.End && (n.promise.To != m.From || n.promise.Term != m.Term)
	if asks && !bound && n.mayCampaign() && now >= n.waitUntil && now >= n.handedTo {
		n.becomeCandidate(now, n.rec.Term+1, m.From, m.Term, fx)
	}
}

// handleResign ends the promise to a leader that gave up in that promise's term, or whose
// process has died. From then on its heartbeats of that term ask for nothing (rule 12);
// those of lower terms are refused anyway.
func (n *Node) handleResign(now time.Duration, m *Message) {
	if n.leader == m.From && n.leaderTerm == m.Term {
		n.leader = ID{}
	}
	if n.news.Goose == m.From && n.news.Term == m.Term {
		n.news = News{}
	}
	if m.Term == n.rec.Term {
		n.resigned = Promise{To: m.From, Term: m.Term}
	}
	if n.promise.To != m.From || n.promise.Term != m.Term || now >= n.promise.End {
		return
	}
	n.promise.End = now
	if n.role == Follower {
		n.schedule(now)
	}
}
