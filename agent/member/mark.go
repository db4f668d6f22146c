package member

import (
	"time"

	"duckduckgoose/agent/election"
)

// advance is a mark that was raised here and waits for its majority (rule 29). It counts
// in this term only: in a later one the same mark may be somebody else's.
type advance struct {
	to, term uint64
	until    time.Duration
	done     func(error)
}

// AdvanceMark raises the election's mark to a larger number, if this agent is the goose;
// token, if not 0, is that of the goose period in which it must be. done is called once:
// with nil when a majority of the voters has saved the mark; with a [Refusal] of MarkTaken when the
// mark is as high already; or with one of MarkUncommitted when nobody knows whether it
// will be committed: then it may not be acted upon.
func (m *Member) AdvanceMark(e *Election, to, token uint64, done func(error)) {
	now := m.host.Now()
	switch {
	case e.node == nil || token != 0 && e.node.Lease().Token != token:
		done(e.notGoose())
		return
	case e.handover != nil:
		done(refused(HandoverUnderWay))
		return
	}
	e.step(election.Advance{To: to})
	if err := e.fx.Err; err != nil {
		mark, _ := e.node.Mark()
		switch err {
		case election.ErrTaken:
			err = &Refusal{Code: MarkTaken, Mark: mark}
		case election.ErrNoLease:
			err = refused(NoLease)
		default:
			err = e.explain(err, election.ID{})
		}
		done(err)
		return
	}
	e.advances = append(e.advances, advance{to, e.node.Record().Term, now + 2*e.span(), done})
}

// Mark returns the mark on this agent's disk, and whether it is known to be committed:
// only the goose knows.
func (e *Election) Mark(now time.Duration) (mark uint64, committed bool) {
	if e.node == nil {
		return 0, false
	}
	mark, _ = e.node.Mark()
	lease := e.node.Lease()
	return mark, e.committed == mark && lease.Token != 0 && lease.Until > now
}

// Committed returns the largest mark that this agent, as the leader, knows to be
// committed; 0: none, or it does not lead.
func (e *Election) Committed() uint64 { return e.committed }

// tellAdvances answers those whose mark is committed, or may never be. It runs when the
// record is saved: a lone voter is its own majority.
func (e *Election) tellAdvances(now time.Duration) {
	if len(e.advances) == 0 {
		return
	}
	all := e.advances
	e.advances = nil
	for _, a := range all {
		switch {
		case e.node.Role() != election.Leader || e.node.Record().Term != a.term, now >= a.until:
			a.done(refused(MarkUncommitted))
		case e.committed >= a.to:
			a.done(nil)
		default:
			e.advances = append(e.advances, a)
		}
	}
}
