package election

import (
	"fmt"
	"time"
)

// Committed reports whether a majority of the current voters has acknowledged exactly
// the current config in this leader's term (rule 5).
func (n *Node) Committed() bool {
	acked := func(p *peer) bool { return p.acked == n.rec.Config.ConfigID }
	return n.role == Leader && 1+n.votersThat(acked) >= n.rec.Config.Quorum() // a leader is a voter
}

// change starts a change of exactly one voter, or of the table (rule 5): a round
// is sent now, and [Node.tryPending] makes the change or drops it.
func (n *Node) change(now time.Duration, c Change, fx *Effects) error {
	voter, id := c.Table.IsZero(), c.Voter.ID
	p := n.peerOf(id)
	if err := n.leads(); err != nil {
		return err
	}
	switch {
	case n.hasPending || !n.Committed():
		return ErrNotCommitted
	case n.rec.Config.Version >= MaxTerm:
		return fmt.Errorf("%w: no version is left in term %d", ErrInvalid, n.rec.Config.Term)
	case !voter && (c.Voter != Voter{} || c.Remove):
		return fmt.Errorf("%w: it changes the table and a voter at once", ErrInvalid)
	case voter && id.IsZero():
		return fmt.Errorf("%w: it names no agent", ErrInvalid)
	case voter && id == n.set.ID && (c.Remove || c.Voter.Priority == 0):
		return fmt.Errorf("%w: the leader must stay a voter of priority above 0", ErrInvalid)
	case voter && !c.Remove && !n.rec.Config.Has(id) && n.rec.Config.N == MaxVoters:
		return fmt.Errorf("%w: %d voters already, at most %d", ErrInvalid, n.rec.Config.N, MaxVoters)
	case p != nil && p.term > n.rec.Term:
		return fmt.Errorf("%w: %s is at term %d, ahead of %d", ErrInvalid, id, p.term, n.rec.Term)
	case n.changed(c) == n.rec.Config:
		return fmt.Errorf("%w: nothing changes", ErrInvalid)
	}
	if voter {
		n.observe(id)
	}
	n.pending, n.hasPending, n.pendingAt, n.pendingRound = c, true, now, n.round+1
	n.sendRound(now, fx)
	return nil
}

// changed gives the config that a change leads to, but for its version.
func (n *Node) changed(c Change) Config {
	next := n.rec.Config
	switch {
	case !c.Table.IsZero():
		next.Table = c.Table
	case c.Remove:
		return next.Without(c.Voter.ID)
	default:
		return next.With(c.Voter)
	}
	return next
}

// tryPending makes the waiting change when these hold: the lease under the new
// members, by promises already held, ends no earlier than the published one (rules 5,
// 15), and a majority of the new members has answered. The present ones hold the mark
// first (rule 29). Promises outlive their voters, and a config without a live majority
// would end the flock. After half a lease the
// change is dropped, while the lease can still grow again.
func (n *Node) tryPending(now time.Duration, fx *Effects) {
	if !n.hasPending {
		return
	}
	next := n.changed(n.pending)
	end := n.leaseEnd(&next)
	switch {
	case n.gaveUp || now-n.pendingAt > n.pace.Lease/2:
		n.hasPending, n.pending = false, Change{}
	case end <= now || end < max(n.lease.Until, n.handedTo) || !n.answered(&next, n.pendingRound) || !n.markHeld():
		return
	default:
		n.hasPending, n.pending = false, Change{}
		n.rec.Config = next
		n.rec.Config.Version++
		n.observeVoters()
		fx.event(EventVoters, n.rec.Term, ID{})
		n.sendRound(now, fx)
	}
}

// answered reports whether a majority of c has acknowledged this round or a later one.
func (n *Node) answered(c *Config, round uint64) bool {
	count := 0
	for _, v := range c.Members() {
		if p := n.peerOf(v.ID); v.ID == n.set.ID || p != nil && p.round >= round {
			count++
		}
	}
	return count >= c.Quorum()
}
