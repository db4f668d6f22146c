package election

import "time"

// refusal returns why a vote at term for m's sender would be refused, and for how long a
// promise forbids it (rules 2, 12, 13). A PreVote has the same check (rule 19).
func (n *Node) refusal(now time.Duration, m *Message, term uint64) (Reason, time.Duration) {
	if now < n.waitUntil {
		return Restarted, n.waitUntil - now
	}
	switch {
	case term < n.rec.Term:
		return OldTerm, 0
	case term == n.rec.Term && n.rec.Vote == m.From:
		return NoReason, 0 // a repeated request gets the same answer
	case term == n.rec.Term && !n.rec.Vote.IsZero():
		return Voted, 0
	}
	if end := n.promisedToOthers(m, term); now < end {
		return Promised, end - now
	}
	if m.ConfigID.Compare(n.rec.Config.ConfigID) < 0 {
		return OldConfig, 0
	}
	if m.ConfigID == n.rec.Config.ConfigID {
		if i := n.rec.Config.Index(m.From); i < 0 || n.rec.Config.Voters[i].Priority == 0 {
			return NotCandidate, 0
		}
	}
	return NoReason, 0
}

// promisedToOthers returns until when a promise, this node's own lease or its holders
// forbid a vote for m's sender at term (rule 12).
func (n *Node) promisedToOthers(m *Message, term uint64) time.Duration {
	end := n.promise.End
	switch {
	case m.From == n.promise.To && term > n.promise.Term:
		end = 0 // the promisee itself, in a later term
	case m.TransferFrom == n.promise.To && m.TransferTerm == n.promise.Term && term == m.TransferTerm+1:
		end = 0 // the promisee asked for this very election
	}
	return max(end, n.handedTo, n.lease.Until)
}

func (n *Node) handlePreVote(now time.Duration, m *Message, fx *Effects) {
	if m.Term < n.rec.Term {
		n.reject(now, m, fx)
		return
	}
	if m.Nonce == 0 {
		return // it asks only for a newer config (rule 27)
	}
	reason, remaining := n.refusal(now, m, m.NextTerm)
	n.send(m.From, Message{
		Kind: PreVoteReply, Nonce: m.Nonce, Granted: reason == NoReason,
		Reason: reason, Remaining: remaining, Config: n.newerConfig(m),
	}, fx)
}

func (n *Node) handleVote(now time.Duration, m *Message, fx *Effects) {
	if m.Term < n.rec.Term {
		n.reject(now, m, fx)
		return
	}
	reason, remaining := n.refusal(now, m, m.Term)
	if !n.named(m) {
		reason, remaining = OtherLife, 0 // asked again at once, by the life that this reply shows
	}
	switch {
	case reason == NoReason && (m.Term > n.rec.Term || n.rec.Vote.IsZero()):
		n.deferTo(now, m, fx)
	case reason == OldConfig || reason == NotCandidate:
		// No promise forbids it: the term may rise, the vote stays (rules 7, 12).
		if m.Term > n.rec.Term && n.trusted(m) {
			n.adoptTerm(now, m.Term, fx)
		}
	}
	reply := Message{
		Kind: VoteReply, Granted: reason == NoReason,
		Reason: reason, Remaining: remaining, Config: n.newerConfig(m),
	}
	if reply.Granted {
		reply.Mark = n.rec.Mark
	}
	n.send(m.From, reply, fx)
}

// deferTo gives a worthy candidate the vote (R2, rules 2, 12). A repeated request does
// not get here: by then this node may have promised that candidate a lease.
func (n *Node) deferTo(now time.Duration, m *Message, fx *Effects) {
	n.rec.Term, n.rec.Vote = m.Term, m.From
	fx.event(EventDeferred, m.Term, m.From)
	n.promise.End = now // its promisee released it, or is the candidate itself
	n.follow(now, ID{}, fx)
	// The candidate gets time to win or fail; more after a failed election, because disks
	// may be slow.
	n.schedule(now + n.longest()/2<<min(n.failures, 1))
	n.failures = min(n.failures+1, 3)
}

func (n *Node) handlePreVoteReply(now time.Duration, m *Message, fx *Effects) {
	round := uint64(now - n.nonceAt)
	took := round - (m.Nonce - n.nonce) // since that request left
	if took <= uint64(MaxPromise) {
		n.measure(now, m.From, time.Duration(took))
	}
	if n.role != PreCandidate || took > round {
		return
	}
	n.count(now, m, fx)
}

// measure uses the answer to a PreVoteRequest, late or not, for the estimate of its path
// (rule 21). A copy proves nothing.
func (n *Node) measure(now time.Duration, from ID, took time.Duration) {
	p := n.peerOf(from)
	if p == nil || n.nonce == 0 || now-took <= p.measured {
		return
	}
	p.measured = now - took
	p.rtt = smooth(p.rtt, min(took, n.longest()))
}

func (n *Node) handleVoteReply(now time.Duration, m *Message, fx *Effects) {
	if n.role != Candidate || m.Term != n.rec.Term {
		return
	}
	if p := n.peerOf(m.From); p != nil && p.rtt == 0 && p.silent() {
		p.rtt = smooth(0, min(now-p.firstAt, n.longest())) // at most: it may have answered a later request, and it saved
	}
	if m.Granted {
		n.takeMark(m.Mark)
	}
	n.count(now, m, fx)
}

// count records an answer, and ends this round of questions once it is decided.
func (n *Node) count(now time.Duration, m *Message, fx *Effects) {
	switch p := n.peerOf(m.From); {
	case p == nil:
	case m.Granted:
		p.granted = true
	case m.Reason == Promised || m.Reason == Restarted:
		p.retryAt = now + max(m.Remaining, time.Millisecond/4)
	case m.Reason == OtherLife:
		p.askAt = min(p.askAt, now+time.Millisecond) // at once, by the life that this reply shows
	default:
		p.refused = true
	}
	if !n.advance(now, fx) && int(n.rec.Config.N)-n.refusals() < n.rec.Config.Quorum() {
		n.standDown(now, fx) // too many have refused for good
	}
}

// advance continues with what a majority has granted, if it has.
func (n *Node) advance(now time.Duration, fx *Effects) bool {
	switch {
	case n.grants() < n.rec.Config.Quorum():
		return false
	case n.role == PreCandidate:
		n.becomeCandidate(now, n.rec.Term+1, ID{}, 0, fx)
	default:
		n.becomeLeader(now, fx)
	}
	return true
}

// grants counts this node and the voters that have voted, or would vote, for it (rule 3).
func (n *Node) grants() int {
	return 1 + n.votersThat(func(p *peer) bool { return p.granted })
}

// refusals counts the voters that have refused for good in this term.
func (n *Node) refusals() int {
	return n.votersThat(func(p *peer) bool { return p.refused && !p.granted })
}
