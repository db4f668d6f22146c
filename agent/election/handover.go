package election

import "time"

// stepDown gives up the lead for good in this term (rule 16). From here on the
// node is no goose; the TimeoutNow leaves once no holder acts any more.
func (n *Node) stepDown(now time.Duration, in StepDown, fx *Effects) error {
	if n.role != Leader {
		return ErrNotLeader
	}
	if n.gaveUp {
		return ErrHandingOver
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
		}
	}
	n.gaveUp, n.gaveUpTo = true, to
	n.handOver(now, fx)
	return nil
}

// raiseTerm lets the leader campaign above a term that a non-member showed,
// after draining, so that it can be added (rule 7).
func (n *Node) raiseTerm(now time.Duration, term uint64, fx *Effects) error {
	if n.role != Leader {
		return ErrNotLeader
	}
	if n.gaveUp {
		return ErrHandingOver
	}
	if term < n.rec.Term || term >= MaxTerm {
		return ErrInvalid
	}
	n.gaveUp, n.raiseTo = true, term+1
	n.handOver(now, fx)
	return nil
}

// Successor gives the voter that would be asked to take over, zero for none.
func (n *Node) Successor(now time.Duration) ID {
	best, worthiest := -1, worth{}
	for i, v := range n.rec.Config.Members() {
		p := n.peerOf(v.ID)
		if v.ID == n.set.ID || v.Priority == 0 || p == nil || !n.answers(now, p) {
			continue
		}
		if w := n.worthiness(now, i); best < 0 || w.before(&worthiest) {
			best, worthiest = i, w
		}
	}
	if best < 0 {
		return ID{}
	}
	return n.rec.Config.Voters[best].ID
}

// answers tells whether a peer has acknowledged a heartbeat of this term within a lease.
func (n *Node) answers(now time.Duration, p *peer) bool {
	return p.round > 0 && now-p.ackAt < n.set.Lease
}

// handOver moves a hand-over along: wait until drained, then ask the successor
// until the term rises; after half a lease, resign (rule 16).
func (n *Node) handOver(now time.Duration, fx *Effects) {
	if n.role != Leader || !n.gaveUp || n.handedTo > now {
		return
	}
	switch {
	case n.raiseTo != 0 && n.late: // it campaigns once the work has ended
	case n.raiseTo != 0:
		term := n.raiseTo
		n.leaveLead()
		n.becomeCandidate(now, term, ID{}, 0, fx)
	case n.gaveUpTo.IsZero() || n.timeoutAt != 0 && now >= n.timeoutAt+n.set.Lease/2:
		n.eachVoter(func(p *peer) { n.send(p.id, Message{Kind: Resign}, fx) })
		fx.event(EventResigned, n.rec.Term, ID{})
		n.retire(now)
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
