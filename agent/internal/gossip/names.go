package gossip

import "duckduckgoose/agent/member"

// refuseName marks the agents of a name that another live agent has: those must
// exit. Until an agent has settled, it may be one of them, so it is
// not shown, nor counted or elected. The mark stays for that life, since the
// one that has the name may fail before the refused one does. mu is held.
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

// Namesakes gives the other live agents of this one's name.
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

// precedes tells whether a name that two agents have is p's rather than q's.
func (p *peer) precedes(q *peer) bool {
	if p.Meta.Settled != q.Meta.Settled {
		return p.Meta.Settled
	}
	if kept, other := p.keptName == p.Meta.Name, q.keptName == q.Meta.Name; kept != other {
		return kept // it restarted, and the other one is new
	}
	return p.ID.Compare(q.ID) < 0
}

// shown gives what readers see of an agent. One that is refused its name is shown as a
// member that stopped, under the name that it had; false: it never was a member.
func (p *peer) shown() (member.Peer, bool) {
	shown := p.Peer
	if !p.refused {
		return shown, true
	}
	shown.State, shown.Meta.Name = member.Failed, p.keptName
	return shown, p.keptName != ""
}
