package gossip

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// peer is an agent and since when it is in its state.
type peer struct {
	member.Peer
	since time.Time
	told  []byte // the metadata as memberlist has it, for reading

	keptName string // the name that it settled under, in this or an earlier life; "": it never settled
	refused  bool   // another agent has its name, and it has not settled since (names.go)
}

// Peers returns every known agent sorted by id, this one included, failed ones for
// a day. It leaves out agents that are refused their name.
func (g *Gossip) Peers() []member.Peer {
	g.mu.Lock()
	all := make([]member.Peer, 0, len(g.mu.peers))
	for _, p := range g.mu.peers {
		if shown, ok := p.shown(); ok {
			all = append(all, shown)
		}
	}
	g.mu.Unlock()
	slices.SortFunc(all, func(a, b member.Peer) int { return a.ID.Compare(b.ID) })
	return all
}

// Changes returns what has changed in Peers since the last call: the agents that
// changed, as they are now, and the ids of those that Peers has no longer.
func (g *Gossip) Changes() (changed []member.Peer, forgotten []election.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.mu.changed {
		if p := g.mu.peers[id]; p != nil {
			if shown, ok := p.shown(); ok {
				changed = append(changed, shown)
				continue
			}
		}
		forgotten = append(forgotten, id)
	}
	clear(g.mu.changed)
	slices.SortFunc(changed, func(a, b member.Peer) int { return a.ID.Compare(b.ID) })
	return changed, forgotten
}

// Peer returns an agent that gossip knows, as Peers does.
func (g *Gossip) Peer(id election.ID) (member.Peer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[id]
	if p == nil {
		return member.Peer{}, false
	}
	return p.shown()
}

// Alive returns an agent that is alive by gossip.
func (g *Gossip) Alive(id election.ID) (member.Peer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[id]
	if p == nil || p.State != member.Alive {
		return member.Peer{}, false
	}
	return p.Peer, true
}

// nameOf returns an agent's name; "" while it is unknown.
func (g *Gossip) nameOf(id election.ID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[id]; p != nil {
		return p.Meta.Name
	}
	return ""
}

// change adds a peer to the next Changes. mu is held.
func (g *Gossip) change(id election.ID) {
	g.mu.changed[id] = true
	g.mu.version++
	signal(g.updates)
	signal(g.join.met)
}

// set keeps a peer, new or changed. mu is held.
func (g *Gossip) set(p *peer) {
	old := g.mu.peers[p.ID]
	if old == nil || old.Meta.Name != p.Meta.Name {
		if old != nil {
			g.unname(old)
		}
		g.mu.byName[p.Meta.Name] = append(g.mu.byName[p.Meta.Name], p.ID)
	}
	g.mu.peers[p.ID] = p
	g.change(p.ID)
	g.refuseName(p.Meta.Name)
	if p.refused && p.State != member.Alive && p.keptName == "" {
		g.forget(p)
	}
}

// forget drops a peer. mu is held.
func (g *Gossip) forget(p *peer) {
	g.unname(p)
	delete(g.mu.peers, p.ID)
	g.change(p.ID)
}

// forgetAll drops the peers for which of is true. mu is held.
func (g *Gossip) forgetAll(of func(*peer) bool) {
	for _, p := range g.mu.peers {
		if of(p) {
			g.forget(p)
		}
	}
}

func (g *Gossip) unname(p *peer) {
	rest := slices.DeleteFunc(g.mu.byName[p.Meta.Name], func(id election.ID) bool { return id == p.ID })
	if g.mu.byName[p.Meta.Name] = rest; len(rest) == 0 {
		delete(g.mu.byName, p.Meta.Name)
	}
}

// sweepEvery is how often sweep runs.
const sweepEvery = 10 * time.Second

// sweep forgets the agents that have been gone for goneListed.
func (g *Gossip) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.mu.sweptAt) < sweepEvery {
		return
	}
	g.mu.sweptAt = time.Now()
	g.forgetAll(func(p *peer) bool { return p.State != member.Alive && time.Since(p.since) > goneListed })
}

// MarkLeft marks a failed agent as left, until it returns.
func (g *Gossip) MarkLeft(id election.ID) {
	g.mu.Lock()
	p := g.mu.peers[id]
	if p != nil && p.State == member.Failed {
		p.State, p.since = member.Left, time.Now()
		g.change(id)
	}
	g.mu.Unlock()
}
