package gossip

import "duckduckgoose/agent/member"

// refuseName marks the agents whose name another live agent has: they must exit.
// They are not shown, counted or elected. The mark stays for that life of the
// agent, because the owner of the name may fail before the refused agent exits.
// mu is held.
func (g *Gossip) refuseName(name string) {
	var holder *peer
	for _, id := range g.mu.byName[name] {
		if p := g.mu.peers[id]; p.State == member.Alive && (holder == nil || p.precedes(holder)) {
			holder = p
		}
	}
	for _, id := range g.mu.byName[name] {
		p := g.mu.peers[id]
		if p != holder && id != g.opts.ID && !p.refused && p.State == member.Alive && !p.Meta.Settled && holder.precedes(p) {
			p.refused = true
			g.change(id)
		}
	}
}

// Namesakes returns the other live agents that have this agent's name.
func (g *Gossip) Namesakes() (others []member.Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range g.mu.byName[g.mu.own.Name] {
		if p := g.mu.peers[id]; id != g.opts.ID && p.State == member.Alive && !p.refused {
			others = append(others, p.Peer)
		}
	}
	return others
}

// precedes reports whether p, not q, may keep the name that both have.
func (p *peer) precedes(q *peer) bool {
	if p.Meta.Settled != q.Meta.Settled {
		return p.Meta.Settled
	}
	if kept, other := p.keptName == p.Meta.Name, q.keptName == q.Meta.Name; kept != other {
		return kept // it restarted, and the other one is new
	}
	return p.ID.Compare(q.ID) < 0
}

// shown returns an agent as readers see it. An agent that is refused its name is
// shown as failed, under its former name; false: it never had one.
func (p *peer) shown() (member.Peer, bool) {
	shown := p.Peer
	if !p.refused {
		return shown, true
	}
	shown.State, shown.Meta.Name = member.Failed, p.keptName
	return shown, p.keptName != ""
}
