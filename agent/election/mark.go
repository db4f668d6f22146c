package election

import (
	"fmt"
	"slices"
	"time"
)

// MaxMark bounds marks: every JSON reader keeps 53 bits exact.
const MaxMark = 1<<53 - 1

// Mark returns the mark that this node has saved, and how much of it is committed: a
// majority of the current voters has acknowledged at least that mark in this node's term
// as the leader (rule 29). Nobody else knows what is committed: then committed is 0.
func (n *Node) Mark() (mark, committed uint64) {
	if n.role != Leader || n.rec.Mark == 0 {
		return n.rec.Mark, 0
	}
	return n.rec.Mark, min(n.rec.Mark, n.markOf(&n.rec.Config, func(p *peer) uint64 { return p.mark }))
}

// markOf returns the largest mark that a majority of c holds, this node included.
func (n *Node) markOf(c *Config, of func(*peer) uint64) uint64 {
	var marks [MaxVoters]uint64
	for i, v := range c.Members() {
		if p := n.peerOf(v.ID); v.ID == n.set.ID {
			marks[i] = n.rec.Mark
		} else if p != nil {
			marks[i] = of(p)
		}
	}
	held := marks[:c.N]
	slices.Sort(held)
	return held[int(c.N)-c.Quorum()]
}

// advanceMark raises the mark of a goose (rule 29). The record is saved before a heartbeat
// shows it; [Node.Mark] tells when it is committed.
func (n *Node) advanceMark(now time.Duration, to uint64, fx *Effects) error {
	if err := n.leads(); err != nil {
		return err
	}
	switch {
	case n.lease.Until <= now:
		return ErrNoLease
	case to > MaxMark:
		return fmt.Errorf("%w: mark %d: at most %d", ErrInvalid, to, uint64(MaxMark))
	case to <= n.rec.Mark:
		return ErrTaken
	}
	n.rec.Mark = to
	n.sendRound(now, fx)
	return nil
}

// markFor returns the mark that a heartbeat to p carries: 0 once p has acknowledged it in
// this term, so that steady heartbeats stay small.
func (n *Node) markFor(p *peer) uint64 {
	if p.mark >= n.rec.Mark {
		return 0
	}
	return n.rec.Mark
}

// takeMark keeps the larger mark (rule 29).
func (n *Node) takeMark(shown uint64) { n.rec.Mark = max(n.rec.Mark, shown) }

// bookMark records the mark in an ack of round r. An agent of a version without marks
// answers a heartbeat that carried one without any.
func (n *Node) bookMark(p *peer, r *round, shown uint64) {
	p.unmarked = shown == 0 && r.mark > p.mark
	p.mark = max(p.mark, shown)
}

// markHeld reports whether nothing would be lost if the present voters elected another
// leader: a majority holds the mark, or knows of no marks. Agents of a version without
// marks keep none, and must not keep the flock from having a goose.
func (n *Node) markHeld() bool {
	return n.rec.Mark == n.markOf(&n.rec.Config, func(p *peer) uint64 {
		if p.unmarked {
			return n.rec.Mark
		}
		return p.mark
	})
}
