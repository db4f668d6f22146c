package election

import "time"

// stepDown gives up the lead for good in this term (rule 16).
func (n *Node) stepDown(now time.Duration, in StepDown, fx *Effects) error {
	if err := n.leads(); err != nil {
		return err
	}
	to := in.To
	if to.IsZero() {
		if to = n.Successor(now); to.IsZero() && !in.Stop {
			return ErrNoSuccessor
		}
	} else {
		i := n.rec.Config.Index(to)
		if i < 0 || to == n.set.ID || n.rec.Config.Voters[i].Priority == 0 {
			return ErrNotVoter
		}
		if p := n.peerOf(to); p == nil || !n.answers(now, p) {
			return ErrUnreachable
		} else if p.fitness&Unwell != 0 {
			return ErrUnwell
		}
	}
	n.gaveUp, n.gaveUpAt, n.gaveUpTo = true, now, to
	n.handOver(now, fx)
	return nil
}

// leads returns why this node takes no command as the leader; nil: it does.
func (n *Node) leads() error {
	switch {
	case n.role != Leader:
		return ErrNotLeader
	case n.gaveUp:
		return ErrHandingOver
	}
	return nil
}

// raiseTerm lets the leader campaign, once drained, above a term that a non-member
// showed, so that it can be added (rule 7).
func (n *Node) raiseTerm(now time.Duration, term uint64, fx *Effects) error {
	if err := n.leads(); err != nil {
		return err
	}
	if term < n.rec.Term || term >= MaxTerm {
		return ErrInvalid
	}
	n.gaveUp, n.gaveUpAt, n.raiseTo = true, now, term+1
	n.handOver(now, fx)
	return nil
}

// Successor returns the voter that would be asked to take over; zero: none.
func (n *Node) Successor(now time.Duration) (best ID) {
	worthiest := worth{}
	for i, v := range n.rec.Config.Members() {
		p := n.peerOf(v.ID)
		if v.ID == n.set.ID || v.Priority == 0 || p == nil || !n.answers(now, p) || p.fitness&Unwell != 0 {
			continue
		}
		if w := n.worthiness(now, i); best.IsZero() || w.before(&worthiest) {
			best, worthiest = v.ID, w
		}
	}
	return best
}

// answers reports whether a peer has acknowledged a heartbeat of this term within a
// lease.
func (n *Node) answers(now time.Duration, p *peer) bool {
	return p.round > 0 && now-p.ackAt < n.longest()
}

// MayAnswer reports whether this leader won so lately that a voter which has not
// answered it yet may still do so, and then take over.
func (n *Node) MayAnswer(now time.Duration, id ID) bool {
	i, p := n.rec.Config.Index(id), n.peerOf(id)
	return n.role == Leader && now-n.wonAt < n.longest() && i >= 0 && n.rec.Config.Voters[i].Priority > 0 && p != nil && p.round == 0
}

// handOver continues a hand-over: once drained, ask the successor until the term rises;
// after half a lease, resign (rule 16).
func (n *Node) handOver(now time.Duration, fx *Effects) {
	if n.role != Leader || !n.gaveUp || n.handedTo > now {
		return
	}
	switch {
	case n.raiseTo != 0 && n.late: // wait: it campaigns once the work has ended
	case n.raiseTo != 0 && n.fitness&Unwell == 0:
		term := n.raiseTo
		n.leaveLead()
		n.becomeCandidate(now, term, ID{}, 0, fx)
	case n.gaveUpTo.IsZero() || n.timeoutAt != 0 && now >= n.timeoutAt+n.longest()/2:
		n.eachVoter(func(p *peer) { n.send(p.id, Message{Kind: Resign}, fx) })
		fx.event(EventResigned, n.rec.Term, ID{})
		n.retire(now, n.gaveUpAt)
	default:
		if n.timeoutAt == 0 {
			n.timeoutAt, n.timeoutNext = now, now
		}
		if now >= n.timeoutNext {
			n.timeoutNext = now + resendFloor
			if p := n.peerOf(n.gaveUpTo); p != nil {
				n.timeoutNext = now + max(resendFloor, p.rtt) // its request for votes shows that it heard
			}
			n.send(n.gaveUpTo, Message{Kind: TimeoutNow}, fx)
		}
	}
}
