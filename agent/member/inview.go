package member

import (
	"cmp"
	"slices"

	"duckduckgoose/agent/election"
)

// keepInView tells the node which agents may become voters: the live ones of the highest
// priority that are not observers or, for the other elections, the default election's
// voters. The rest only hear its announcements. review: those that do not answer the
// goose give their places to others.
func (e *Election) keepInView(review bool) {
	if e.node == nil {
		return
	}
	e.audienceStale, e.roomy, e.worst, e.waiting = true, false, 0, false
	own := e.node.Record().Config
	var best []*Peer
	for i := range e.m.peers {
		p := &e.m.peers[i]
		switch mayVote := e.mayVote(p); {
		case own.Has(p.ID):
		case mayVote:
			best = append(best, p)
		case e.node.InView(p.ID):
			e.step(election.Forget{ID: p.ID})
		}
	}
	if most := e.m.inViewMost(); len(best) > most {
		now := e.m.host.Now()
		e.contacts = e.node.Contacts(e.contacts[:0])
		rank := func(id election.ID) int {
			switch {
			case !e.node.InView(id):
				return 1
			case review && !e.answers(now, id) && !e.isAhead(id):
				return 2
			}
			return 0
		}
		slices.SortStableFunc(best, func(a, b *Peer) int {
			return cmp.Or(cmp.Compare(b.Meta.Priority, a.Meta.Priority), cmp.Compare(rank(a.ID), rank(b.ID)))
		})
		for _, p := range best[most:] {
			if e.node.InView(p.ID) {
				e.step(election.Forget{ID: p.ID})
			}
		}
		best = best[:most]
		e.waiting = true
		e.worst = best[most-1].Meta.Priority
	}
	for _, p := range best {
		if !e.node.InView(p.ID) {
			e.step(election.Observe{ID: p.ID})
		}
	}
}

// isAhead reports whether an agent in view has shown a higher term: it acknowledges
// nothing until this goose has raised its own (rule 7).
func (e *Election) isAhead(id election.ID) bool {
	term := e.node.Record().Term
	return slices.ContainsFunc(e.contacts, func(k election.Contact) bool { return k.ID == id && k.Term > term })
}

// mayVote reports whether another agent may become a voter of this election.
func (e *Election) mayVote(p *Peer) bool {
	m := e.m
	if p.ID == m.id || p.State != Alive || p.Meta.FlockID != m.FlockID() || p.Meta.Observer {
		return false
	}
	if e.number == 0 {
		return true
	}
	voters := m.node().Record().Config
	return voters.Has(p.ID)
}

// keepPeerInView is keepInView for one agent. When another loses its place, or there is a
// better one for it, the next look offers it to all.
func (e *Election) keepPeerInView(p *Peer) {
	if e.node == nil {
		return
	}
	known, mayVote := e.node.InView(p.ID), e.mayVote(p)
	switch {
	case known && !mayVote:
		e.step(election.Forget{ID: p.ID}) // voters stay in view whatever gossip says
		e.roomy = true
	case known || !mayVote:
	case e.node.InViewBesidesVoters() < e.m.inViewMost():
		e.step(election.Observe{ID: p.ID})
	case p.Meta.Priority > e.worst:
		e.roomy = true
	}
}
