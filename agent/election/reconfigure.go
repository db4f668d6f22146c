package election

import (
	"fmt"
	"time"
)

// Committed tells whether a majority of the current voters has acknowledged
// exactly the current config in this leader's term (rule 5).
func (n *Node) Committed() bool {
	if n.role != Leader {
		return false
	}
	count := 0
	if n.rec.Config.Has(n.set.ID) {
		count = 1
	}
	n.eachVoter(func(p *peer) {
		if p.acked == n.rec.Config.ConfigID {
			count++
		}
	})
	return count >= n.rec.Config.Quorum()
}

// change starts a change of exactly one voter, or of the table (rule 5). It takes effect as
// soon as a majority of the new members has answered a round sent now, and the
// lease counted under them reaches as far as what was published; a change that
// does not get there is dropped.
func (n *Node) change(now time.Duration, c Change, fx *Effects) error {
	switch i := n.rec.Config.Index(c.Voter.ID); {
	case n.role != Leader:
		return ErrNotLeader
	case n.gaveUp:
		return ErrHandingOver
	case n.hasPending || !n.Committed():
		return ErrNotCommitted
	case !c.Table.IsZero() && (c.Voter != Voter{} || c.Remove):
		return fmt.Errorf("%w: it changes the table and a voter at once", ErrInvalid)
	case !c.Table.IsZero() && c.Table == n.rec.Config.Table:
		return fmt.Errorf("%w: nothing would change", ErrInvalid)
	case !c.Table.IsZero():
		if n.rec.Config.Version >= MaxTerm {
			return fmt.Errorf("%w: no version is left in term %d", ErrInvalid, n.rec.Config.Term)
		}
		n.await(now, c, fx)
		return nil
	case c.Voter.ID.IsZero():
		return fmt.Errorf("%w: it names no agent", ErrInvalid)
	case c.Remove && i < 0:
		return fmt.Errorf("%w: %s is no voter", ErrInvalid, c.Voter.ID)
	case c.Remove && c.Voter.ID == n.set.ID:
		return fmt.Errorf("%w: the leader stays in", ErrInvalid)
	case !c.Remove && c.Voter.ID == n.set.ID && c.Voter.Priority == 0:
		return fmt.Errorf("%w: the leader cannot become a witness", ErrInvalid)
	case !c.Remove && i < 0 && n.rec.Config.N == MaxVoters:
		return fmt.Errorf("%w: %d voters already, at most %d", ErrInvalid, n.rec.Config.N, MaxVoters)
	case n.rec.Config.Version >= MaxTerm:
		return fmt.Errorf("%w: no version is left in term %d", ErrInvalid, n.rec.Config.Term)
	case !c.Remove && i >= 0 && n.rec.Config.Voters[i] == c.Voter:
		return fmt.Errorf("%w: nothing would change", ErrInvalid)
	}
	if p := n.peerOf(c.Voter.ID); !c.Remove && p != nil && p.term > n.rec.Term {
		return fmt.Errorf("%w: %s is at term %d, ahead of %d", ErrInvalid, c.Voter.ID, p.term, n.rec.Term)
	}
	n.observe(c.Voter.ID)
	n.await(now, c, fx)
	return nil
}

// await lets a change wait for a round that is sent now.
func (n *Node) await(now time.Duration, c Change, fx *Effects) {
	n.pending, n.hasPending, n.pendingAt, n.pendingRound = c, true, now, n.round+1
	n.sendRound(now, fx)
}

// changed gives the config that a change leads to.
func (n *Node) changed(c Change) Config {
	next := n.rec.Config
	switch {
	case !c.Table.IsZero():
		next.Table = c.Table
	case c.Remove:
		next = next.Without(c.Voter.ID)
	default:
		next = next.With(c.Voter)
	}
	next.Version++
	return next
}

// tryPending makes the waiting change when its lease clause allows (rule 5):
// the lease under the new members, from promises already held, must not end
// before what was published under the old ones (rule 15). And a majority of
// the new members must answer: a promise may be good for a lease after its
// voter has died, and new members of whom no majority lives would end the
// flock. A change that does not get there is dropped while the lease still has
// time to grow again.
func (n *Node) tryPending(now time.Duration, fx *Effects) {
	if !n.hasPending {
		return
	}
	next := n.changed(n.pending)
	end := n.leaseEnd(&next)
	switch {
	case n.gaveUp || now-n.pendingAt > n.set.Lease/2:
		n.hasPending, n.pending = false, Change{}
	case end <= now || end < max(n.lease.Until, n.handedTo) || !n.answered(&next, n.pendingRound):
		return
	default:
		n.hasPending, n.pending = false, Change{}
		n.rec.Config = next
		n.observeVoters()
		fx.event(EventVoters, n.rec.Term, ID{})
		n.sendRound(now, fx)
	}
}

// answered tells whether a majority of c has acknowledged this round or a later one.
func (n *Node) answered(c *Config, round uint64) bool {
	count := 0
	for _, v := range c.Members() {
		if p := n.peerOf(v.ID); v.ID == n.set.ID || p != nil && p.round >= round {
			count++
		}
	}
	return count >= c.Quorum()
}
