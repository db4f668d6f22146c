package election

import (
	"encoding/binary"
	"slices"
	"time"
)

// mayCampaign tells whether this node is one that may ever campaign now: a
// voter of its own config with a priority above 0 (rules 3, 22), whose late
// work has ended.
func (n *Node) mayCampaign() bool {
	i := n.rec.Config.Index(n.set.ID)
	return i >= 0 && n.rec.Config.Voters[i].Priority > 0 && !n.late && !n.rec.FlockID.IsZero()
}

// blockedUntil gives the moment before which this node campaigns for nothing:
// its promise, its wait after a restart, its silence after standing down, and
// the deadlines its holders act by (rules 12, 13, 16, 20).
func (n *Node) blockedUntil() time.Duration {
	return max(n.promise.End, n.waitUntil, n.quietUntil, n.handedTo)
}

// schedule sets when this node campaigns if nothing is heard: R1. Successors
// follow one another by rank, so that votes do not split (rule 24).
func (n *Node) schedule(from time.Duration) {
	n.electAt = max(from, n.blockedUntil()) + n.stagger()
}

// rankStep is the distance between successors.
func (n *Node) rankStep() time.Duration { return max(rankFloor, n.roundTrip()*5/2) }

func (n *Node) stagger() time.Duration {
	step := n.rankStep()
	return time.Duration(n.ownRank())*step + n.dice.upTo(step/4)
}

// ownRank is this node's place in the line of succession: the last leader's
// word, or the config's order when none was heard.
func (n *Node) ownRank() int {
	if n.ranked {
		return int(n.rank)
	}
	c := &n.rec.Config
	own := c.Index(n.set.ID)
	if own < 0 {
		return 0
	}
	rank := 0
	for i, v := range c.Members() {
		if v.Priority > c.Voters[own].Priority || v.Priority == c.Voters[own].Priority && n.place(i) < n.place(own) {
			rank++
		}
	}
	return rank
}

// place orders voters that nothing else tells apart: by ID, or in an order of
// this election's own.
func (n *Node) place(i int) uint64 {
	if n.set.Salt == 0 {
		return uint64(i)
	}
	id := &n.rec.Config.Voters[i].ID
	salted := mix(mix(n.set.Salt^binary.BigEndian.Uint64(id[:8])) ^ binary.BigEndian.Uint64(id[8:]))
	return salted&^(MaxVoters) | uint64(i) // whose ends are alike are told apart
}

// pause is the wait before one voter is asked again (rule 21): two of its own
// round trips. While those are unknown the pauses grow, as the answer to the
// first question may take as long as half a lease; and for one that is silent for long.
func (n *Node) pause(p *peer) time.Duration {
	longest := max(resendFloor, n.set.Lease/8)
	switch {
	case p.rtt == 0:
		return min(resendFloor<<(p.asks-1), longest)
	case p.asks > maxResends:
		return max(longest, 2*p.rtt)
	}
	return max(resendFloor, 2*p.rtt)
}

// pathTime is how long a voter may take to answer before it counts as silent
// (rule 21): 8 repeats where its round trip is short, half a lease where that is
// long or unknown, and at least three round trips, as far as the lease bears them.
func (n *Node) pathTime(p *peer) time.Duration {
	half := max((maxResends+1)*resendFloor, n.set.Lease/2)
	if p.rtt == 0 {
		return half
	}
	return min((maxResends+1)*max(resendFloor, 2*p.rtt), max(half, 3*min(p.rtt, n.set.Bears())))
}

// campaign opens a round of PreVote (rule 19): it asks whether a majority
// would vote for this node in the next term, and burns no term by asking.
func (n *Node) campaign(now time.Duration, fx *Effects) {
	if n.blockedUntil() > now {
		n.schedule(now)
		return
	}
	n.role = PreCandidate
	n.leader = ID{}
	// Nonces tell when their request left, those of earlier rounds too: answers
	// that come too late to count still tell how long they took.
	if n.nonce == 0 {
		n.nonce = n.dice.next()
	} else {
		n.nonce += uint64(now - n.nonceAt)
	}
	n.nonceAt = now
	n.startAsking(now, fx)
}

// becomeCandidate campaigns at term: votes for itself and asks the others
// (rule 3). A transfer names the goose that asked for it and its term.
func (n *Node) becomeCandidate(now time.Duration, term uint64, transferFrom ID, transferTerm uint64, fx *Effects) {
	if term > MaxTerm {
		n.role = Follower
		n.quietUntil = now + MaxPromise // only a forger gets here; tokens must keep their order all the same
		n.schedule(now)
		return
	}
	n.role = Candidate
	n.leader = ID{}
	n.rec.Term, n.rec.Vote = term, n.set.ID
	n.transferFrom, n.transferTerm = transferFrom, transferTerm
	if now < n.promise.End {
		n.promise.End = now // only a transfer comes here under a promise, and its promisee released it
	}
	fx.event(EventCampaign, term, ID{})
	n.startAsking(now, fx)
}

// startAsking begins to ask the voters; a lone one has its majority at once.
func (n *Node) startAsking(now time.Duration, fx *Effects) {
	n.eachVoter(func(p *peer) { p.granted, p.refused, p.retryAt, p.asks, p.askAt = false, false, 0, 0, now })
	n.askedAt, n.standAt = now, 0
	n.ask(now, fx)
	n.advance(now, fx)
}

// patience stretches the time that voters have to answer. A vote is saved
// before it is given, so on slow disks it comes late: a candidate that failed
// before waits longer while nobody has refused it, or it would burn one term
// after the other. A refusal tells of a rival: then standing down is quicker (R3).
// A PreVote waits longer until anybody answers.
func (n *Node) patience(d time.Duration) time.Duration {
	answered := n.refusals() > 0
	if n.role == PreCandidate {
		n.eachVoter(func(p *peer) { answered = answered || !p.silent() })
	}
	if answered {
		return d
	}
	return max(d, min(d<<n.failures, 2*n.set.Lease))
}

// askingEnds is when every voter has had its time to answer (rule 21).
func (n *Node) askingEnds() time.Duration {
	end := n.askedAt + n.patience((maxResends+1)*resendFloor)
	n.eachVoter(func(p *peer) {
		if p.silent() {
			end = max(end, p.firstAt+n.patience(n.pathTime(p)))
		}
	})
	return end
}

// askAgain repeats the question in the same term: to the silent ones after
// their pause, to those that named a time when it has come (rules 21, 23).
// When all have had their time it stands down, after its stagger.
func (n *Node) askAgain(now time.Duration, fx *Effects) {
	if now >= n.askingEnds() {
		if n.standAt == 0 {
			n.standAt = now + n.stagger()
		}
		if now >= n.standAt {
			n.standDown(now, fx)
			return
		}
	}
	n.ask(now, fx)
}

// ask sends the question to every voter whose time has come.
func (n *Node) ask(now time.Duration, fx *Effects) {
	m := Message{Kind: PreVoteRequest, NextTerm: n.rec.Term + 1, Nonce: n.nonce + uint64(now-n.nonceAt)}
	if n.role == Candidate {
		m = Message{Kind: VoteRequest, TransferFrom: n.transferFrom, TransferTerm: n.transferTerm}
	}
	resend := n.standAt == 0
	n.eachVoter(func(p *peer) {
		switch {
		case p.granted || p.refused:
			return
		case p.retryAt != 0:
			if now < n.askAgainAt(p) {
				return
			}
			p.retryAt, p.asks, n.standAt = 0, 0, 0
		case !resend || now < p.askAt:
			return
		}
		if p.asks == 0 {
			p.firstAt = now
		}
		p.asks = min(p.asks+1, maxResends+1)
		p.askAt = now + n.pause(p)
		n.send(p.id, m, fx)
	})
}

// askAgainAt is when to ask a voter that named the end of its promise (rule
// 23). By its rank this node lets others go first: they may have waited for the
// same moment, and votes asked for at one moment split (rule 24).
func (n *Node) askAgainAt(p *peer) time.Duration {
	return p.retryAt + time.Duration(n.ownRank())*n.rankStep()
}

// standDown ends a campaign without a majority: R3. The next one begins with
// PreVote, when enough voters said they would be free, or after a pause that
// grows while nobody answers.
func (n *Node) standDown(now time.Duration, fx *Effects) {
	fx.event(EventSplit, n.rec.Term, ID{})
	n.seekConfig(now, fx)
	n.role = Follower
	pause := n.set.Lease / 16 << min(n.failures, 3)
	n.failures = min(n.failures+1, 3)
	from := now + pause/2 + n.dice.upTo(pause)
	free := n.earliest(n.rec.Config.Quorum()-n.grants(), func(p *peer) time.Duration {
		if p.granted || p.retryAt <= now {
			return never
		}
		return p.retryAt
	})
	if free < never {
		from = free
	}
	n.schedule(from)
}

// seekConfig asks every live agent of the flock for a newer config, at most once
// a lease (rule 27): voters of this one may be gone for good, and those of a newer
// one need not be in view. Who has none says nothing.
func (n *Node) seekConfig(now time.Duration, fx *Effects) {
	if now < n.seekAt {
		return
	}
	n.seekAt = now + n.set.Lease
	m := Message{Kind: PreVoteRequest, NextTerm: n.rec.Term + 1}
	for i := range n.peers[:n.npeers] {
		if id := n.peers[i].id; !n.rec.Config.Has(id) {
			n.send(id, m, fx)
		}
	}
	fx.Announce, fx.Announcement = true, n.stamped(m)
}

const never = time.Duration(1<<63 - 1)

// earliest gives the k-th smallest of the other voters' values.
func (n *Node) earliest(k int, of func(*peer) time.Duration) time.Duration {
	var ts [MaxVoters]time.Duration
	count := 0
	n.eachVoter(func(p *peer) {
		ts[count] = of(p)
		count++
	})
	if k < 1 || k > count {
		return never
	}
	slices.Sort(ts[:count])
	return ts[k-1]
}
