package gossip

import "duckduckgoose/agent/member"

// refuseNames marks the agents whose name another live agent has: those must
// exit. Until an agent has settled, it may be one of them, so it is
// not shown, nor counted or elected. The mark stays for that life, since the
// one that has the name may fail before the refused one does. mu is held.
func (g *Gossip) refuseNames() {
	holders := map[string]*peer{}
	for _, p := range g.mu.peers {
		if h := holders[p.Meta.Name]; p.State == member.Alive && (h == nil || p.precedes(h)) {
			holders[p.Meta.Name] = p
		}
	}
	for id, p := range g.mu.peers {
		h := holders[p.Meta.Name]
		if h != nil && h != p && id != g.opts.ID && p.State == member.Alive && !p.Meta.Settled && h.precedes(p) {
			p.refused = true
		}
	}
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

// beforeRefusal gives what a refused agent is shown as: a member that stopped,
// under the name that it had; false: it never was a member.
func (p *peer) beforeRefusal() (member.Peer, bool) {
	shown := p.Peer
	shown.State, shown.Meta.Name = member.Failed, p.keptName
	return shown, p.keptName != ""
}
