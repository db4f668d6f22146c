package election

import (
	"encoding/binary"
	"slices"
	"time"
)

// mayCampaign reports whether this node is a voter of priority above 0 in its own config
// (rules 3, 22), has no late work, and is well (rule 28).
func (n *Node) mayCampaign() bool {
	i := n.rec.Config.Index(n.set.ID)
	return i >= 0 && n.rec.Config.Voters[i].Priority > 0 && !n.late && n.fitness&Unwell == 0 && !n.rec.FlockID.IsZero()
}

// blockedUntil returns the time before which this node does not campaign (rules 12, 13,
// 16, 20).
func (n *Node) blockedUntil() time.Duration {
	return max(n.promise.End, n.waitUntil, n.quietUntil, n.handedTo)
}

// schedule sets when this node campaigns if it hears nothing (R1): by rank, so that
// votes do not split (rule 24).
func (n *Node) schedule(from time.Duration) {
	n.electAt = max(from, n.blockedUntil()) + n.stagger()
}

// rankStep is the distance between successors.
func (n *Node) rankStep() time.Duration { return max(rankFloor, n.roundTrip()*5/2) }

func (n *Node) stagger() time.Duration {
	step := n.rankStep()
	return time.Duration(n.ownRank())*step + n.dice.upTo(step/4)
}

// ownRank returns this node's place in the line of succession, as its last leader or the
// config says.
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

// place orders voters that are equal in all else: by ID, or by the election's salt.
func (n *Node) place(i int) uint64 {
	if n.set.Salt == 0 {
		return uint64(i)
	}
	id := &n.rec.Config.Voters[i].ID
	salted := mix(mix(n.set.Salt^binary.BigEndian.Uint64(id[:8])) ^ binary.BigEndian.Uint64(id[8:]))
	return salted&^(MaxVoters) | uint64(i) // IDs with equal ends still differ
}

// pause returns the wait before a voter is asked again (rule 21): two of its round
// trips. Pauses grow while round trips are unknown, and for a voter that has been silent
// for long.
func (n *Node) pause(p *peer) time.Duration {
	longest := max(resendFloor, n.longest()/8)
	switch {
	case p.rtt == 0:
		return min(resendFloor<<(p.asks-1), longest)
	case p.asks > maxResends:
		return max(longest, 2*p.rtt)
	}
	return max(resendFloor, 2*p.rtt)
}

// pathTime returns how long a voter may take to answer (rule 21): 8 repeats if its round
// trip is short, half a lease if it is long or unknown, and at least three round trips,
// as far as the lease allows.
func (n *Node) pathTime(p *peer) time.Duration {
	half := max((maxResends+1)*resendFloor, n.longest()/2)
	if p.rtt == 0 {
		return half
	}
	return min((maxResends+1)*max(resendFloor, 2*p.rtt), max(half, 3*min(p.rtt, n.longest()/4)))
}

// campaign starts a round of PreVote (rule 19), which costs no term.
func (n *Node) campaign(now time.Duration, fx *Effects) {
	if n.blockedUntil() > now {
		n.schedule(now)
		return
	}
	n.role = PreCandidate
	n.leader = ID{}
	// A nonce says when its request left, so that late answers still measure their path.
	if n.nonce == 0 {
		n.nonce = n.dice.next()
	} else {
		n.nonce += uint64(now - n.nonceAt)
	}
	n.nonceAt = now
	n.startAsking(now, fx)
}

// becomeCandidate votes for itself at term and asks the other voters (rule 3). A
// transfer names the goose that asked for it, and its term.
func (n *Node) becomeCandidate(now time.Duration, term uint64, transferFrom ID, transferTerm uint64, fx *Effects) {
	if term > MaxTerm {
		n.role = Follower
		n.quietUntil = now + MaxPromise // only forged messages lead here; tokens must keep their order
		n.schedule(now)
		return
	}
	n.role = Candidate
	n.leader = ID{}
	n.rec.Term, n.rec.Vote = term, n.set.ID
	n.transferFrom, n.transferTerm = transferFrom, transferTerm
	if now < n.promise.End {
		n.promise.End = now // a node with a promise gets here only by a transfer, which releases the promise
	}
	fx.event(EventCampaign, term, ID{})
	n.startAsking(now, fx)
}

// startAsking starts to ask the voters; a lone voter has its majority at once.
func (n *Node) startAsking(now time.Duration, fx *Effects) {
	n.eachVoter(func(p *peer) { p.granted, p.refused, p.retryAt, p.asks, p.askAt = false, false, 0, 0, now })
	n.askedAt, n.standAt = now, 0
	n.ask(now, fx)
	n.advance(now, fx)
}

// patience lengthens the time to answer: voters save their votes first, and on slow
// disks a candidate would lose term after term. A refusal means that there is a rival:
// then standing down is quicker (R3). A PreVote waits longer until an answer comes.
func (n *Node) patience(d time.Duration) time.Duration {
	answered := n.refusals() > 0
	if n.role == PreCandidate {
		n.eachVoter(func(p *peer) { answered = answered || !p.silent() })
	}
	if answered {
		return d
	}
	return max(d, min(d<<n.failures, 2*n.longest()))
}

// askingEnds returns when every voter has had its time to answer (rule 21).
func (n *Node) askingEnds() time.Duration {
	end := n.askedAt + n.patience((maxResends+1)*resendFloor)
	n.eachVoter(func(p *peer) {
		if p.silent() {
			end = max(end, p.firstAt+n.patience(n.pathTime(p)))
		}
	})
	return end
}

// askAgain repeats the question in the same term (rules 21, 23). When all voters have
// had their time, it stands down after its stagger.
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

// askAgainAt returns when to ask a voter again that named the end of its promise (rule
// 23). It goes by rank, because others may wait for the same moment (rule 24).
func (n *Node) askAgainAt(p *peer) time.Duration {
	return p.retryAt + time.Duration(n.ownRank())*n.rankStep()
}

// standDown ends a campaign without a majority (R3). The next one starts when enough
// voters are free, as they said, or after a growing pause.
func (n *Node) standDown(now time.Duration, fx *Effects) {
	fx.event(EventSplit, n.rec.Term, ID{})
	n.seekConfig(now, fx)
	n.role = Follower
	pause := n.longest() / 16 << min(n.failures, 3)
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

// seekConfig asks every live agent for a newer config, at most once a lease (rule 27):
// this config's voters may be gone for good, and a newer config's voters out of view.
func (n *Node) seekConfig(now time.Duration, fx *Effects) {
	if now < n.seekAt {
		return
	}
	n.seekAt = now + n.longest()
	m := Message{Kind: PreVoteRequest, NextTerm: n.rec.Term + 1}
	for i := range n.peers[:n.npeers] {
		if id := n.peers[i].id; !n.rec.Config.Has(id) {
			n.send(id, m, fx)
		}
	}
	fx.Announce, fx.Announcement = true, n.stamped(m)
}

const never = time.Duration(1<<63 - 1)

// earliest returns the k-th smallest of the other voters' values.
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
