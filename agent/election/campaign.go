package election

import (
	"encoding/binary"
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

// resendEvery spaces the repeats of one question (rule 21).
func (n *Node) resendEvery() time.Duration { return max(resendFloor, 2*n.roundTrip()) }

// campaign opens a round of PreVote (rule 19): it asks whether a majority
// would vote for this node in the next term, and burns no term by asking.
func (n *Node) campaign(now time.Duration, fx *Effects) {
	if n.blockedUntil() > now {
		n.schedule(now)
		return
	}
	n.role = PreCandidate
	n.leader = ID{}
	n.nonce = n.dice.next()
	n.startAsking(now, fx)
	if n.grants() >= n.rec.Config.Quorum() {
		n.becomeCandidate(now, n.rec.Term+1, ID{}, 0, fx)
	}
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
	if n.grants() >= n.rec.Config.Quorum() {
		n.becomeLeader(now, fx)
	}
}

func (n *Node) startAsking(now time.Duration, fx *Effects) {
	n.eachVoter(func(p *peer) { p.granted, p.refused, p.retryAt = false, false, 0 })
	n.resends = 0
	n.resendAt = now + n.resendEvery()
	n.ask(now, true, fx)
}

// patience is how often a question is repeated in one term. A vote is saved
// before it is given, so on slow disks it comes late: a candidate that failed
// before waits longer while nobody has refused it, or it would burn one term
// after the other. A refusal tells of a rival: then standing down is quicker (R3).
func (n *Node) patience() uint8 {
	if n.role != Candidate || n.refusals() > 0 {
		return maxResends
	}
	return maxResends << n.failures
}

// askAgain repeats the question in the same term: to the silent ones at every
// resend, to those that named a time when it has come (rules 21, 23).
func (n *Node) askAgain(now time.Duration, fx *Effects) {
	if now < n.resendAt {
		n.ask(now, false, fx)
		return
	}
	most := n.patience()
	if n.resends++; n.resends > most {
		n.standDown(now, fx)
		return
	}
	n.resendAt = now + n.resendEvery()
	if n.resends == most {
		n.resendAt += n.stagger()
	}
	n.ask(now, true, fx)
}

// ask sends the question to every voter that has not answered for good and
// did not name a later time; without silent, only to those whose time has come.
func (n *Node) ask(now time.Duration, silent bool, fx *Effects) {
	m := Message{Kind: PreVoteRequest, NextTerm: n.rec.Term + 1, Nonce: n.nonce}
	if n.role == Candidate {
		m = Message{Kind: VoteRequest, TransferFrom: n.transferFrom, TransferTerm: n.transferTerm}
	}
	n.eachVoter(func(p *peer) {
		due := silent && p.retryAt == 0 || p.retryAt != 0 && n.askAgainAt(p) <= now
		if p.granted || p.refused || !due {
			return
		}
		p.retryAt = 0
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

const never = time.Duration(1<<63 - 1)

// earliest gives the k-th smallest of the other voters' values.
func (n *Node) earliest(k int, of func(*peer) time.Duration) time.Duration {
	var ts [MaxVoters]time.Duration
	count := 0
	n.eachVoter(func(p *peer) {
		t, i := of(p), count
		for i > 0 && ts[i-1] > t {
			ts[i] = ts[i-1]
			i--
		}
		ts[i] = t
		count++
	})
	if k < 1 || k > count {
		return never
	}
	return ts[k-1]
}
