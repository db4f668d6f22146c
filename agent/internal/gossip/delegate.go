package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// peerOf reads what gossip says of an agent.
func peerOf(n *memberlist.Node, state member.PeerState) (member.Peer, bool) {
	id, err := election.ParseID(n.Name)
	ip, isIP := netip.AddrFromSlice(n.Addr)
	if err != nil || !isIP {
		return member.Peer{}, false
	}
	b, whole := checkMeta(n.Meta, n.Name, netip.AddrPortFrom(ip, n.Port))
	meta, err := decodeMeta(b)
	if err != nil || !whole {
		return member.Peer{}, false
	}
	if meta.Left {
		state = member.Left
	}
	return member.Peer{ID: id, Addr: netip.AddrPortFrom(ip.Unmap(), n.Port), State: state, Meta: meta}, true
}

// note records what memberlist says about an agent.
func (g *Gossip) note(n *memberlist.Node, state member.PeerState) {
	seen, ok := peerOf(n, state)
	if !ok {
		return
	}
	p, id := peer{Peer: seen, since: time.Now(), told: n.Meta}, seen.ID
	g.mu.Lock()
	if id == g.opts.ID {
		g.mu.taken = string(n.Meta)
	}
	if foreign(g.mu.own.FlockID, p.Meta.FlockID) {
		g.mu.Unlock()
		return
	}
	if old := g.mu.peers[id]; old != nil {
		p.RTT, p.Met = old.RTT, old.Met && old.Meta.Life == p.Meta.Life
		if state == member.Failed && old.State == member.Left {
			p.State = member.Left // only its return ends that
		}
		if old.State == p.State {
			p.since = old.since
		}
		p.keptName, p.refused = old.keptName, old.refused && old.Meta.Life == p.Meta.Life
	}
	if p.Meta.Settled {
		p.keptName, p.refused = p.Meta.Name, false
	}
	g.set(&p)
	g.mu.Unlock()
}

// NotifyJoin, NotifyUpdate and NotifyLeave make a memberlist.EventDelegate.
func (g *Gossip) NotifyJoin(n *memberlist.Node)   { g.note(n, member.Alive) }
func (g *Gossip) NotifyUpdate(n *memberlist.Node) { g.note(n, member.Alive) }
func (g *Gossip) NotifyLeave(n *memberlist.Node)  { g.note(n, member.Failed) }

// NotifyAlive refuses agents of another founded flock, and nodes that are no agents.
func (g *Gossip) NotifyAlive(n *memberlist.Node) error { return g.acceptable(n) }

// NotifyMerge refuses a whole exchange when it names an agent of another flock.
func (g *Gossip) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if err := g.acceptable(n); err != nil {
			return err
		}
	}
	return nil
}

// acceptable returns why an agent is refused. Gossip repeats each message a dozen times, so
// what was accepted before is not read again.
func (g *Gossip) acceptable(n *memberlist.Node) error {
	if g.accepted(n) {
		return nil
	}
	p, ok := peerOf(n, member.Alive)
	if !ok {
		return fmt.Errorf("%s is no ddgoose agent", n.Address())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if own := g.mu.own.FlockID; foreign(own, p.Meta.FlockID) {
		text := ForeignText(p.Meta.Name, n.Address(), p.Meta.FlockID, own)
		if g.opts.Quiet.Due("flock " + n.Name + " " + n.Address()) {
			g.opts.Problem(text)
		}
		return errors.New(text)
	}
	if g.mu.peers[p.ID] == nil && len(g.mu.peers) >= maxPeers && !g.makeRoom() {
		return fmt.Errorf("%d agents are known, and there is no room for more", maxPeers)
	}
	return nil
}

// accepted reports whether an agent is known exactly so.
func (g *Gossip) accepted(n *memberlist.Node) bool {
	id, err := election.ParseID(n.Name)
	ip, isIP := netip.AddrFromSlice(n.Addr)
	if err != nil || !isIP {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[id]
	return p != nil && p.Addr == netip.AddrPortFrom(ip.Unmap(), n.Port) && bytes.Equal(p.told, n.Meta)
}

// foreign reports whether two flocks are founded ones and not the same.
func foreign(a, b election.FlockID) bool { return !a.IsZero() && !b.IsZero() && a != b }

// ForeignText reports an agent of another flock.
func ForeignText(name, addr string, theirs, ours election.FlockID) string {
	return fmt.Sprintf("agent %s at %s is of flock %s, and this one is of %s: founded flocks never merge", name, addr, theirs, ours)
}

// makeRoom forgets the agent that has been gone the longest. mu is held.
func (g *Gossip) makeRoom() bool {
	var oldest *peer
	for _, p := range g.mu.peers {
		if p.State != member.Alive && (oldest == nil || p.since.Before(oldest.since)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	g.forget(oldest)
	return true
}

// NotifyConflict is called when one id is seen at two addresses: the agent has
// moved, or its disk was copied (rule 10).
func (g *Gossip) NotifyConflict(existing, other *memberlist.Node) {
	a, ok := peerOf(existing, member.Alive)
	b, also := peerOf(other, member.Alive)
	if !ok || !also {
		return
	}
	switch {
	case a.Meta.Start == b.Meta.Start && a.Meta.Life != b.Meta.Life:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(CloneText(a.Meta.Name, a.ID, a.Addr, b.Addr))
		}
	case a.ID == g.opts.ID && b.Meta.Start > a.Meta.Start:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(StaleText(a.Meta.Name, a.ID, a.Addr, a.Meta.Start, b.Meta.Start))
		}
	case a.ID != g.opts.ID && b.Meta.Start > a.Meta.Start:
		g.note(other, member.Alive) // memberlist itself waits until the old one counts as dead
	}
}

// CloneText reports two agents of one id and start.
func CloneText(name string, id election.ID, a, b netip.AddrPort) string {
	if b.Compare(a) < 0 { // the same text, whichever is named first
		a, b = b, a
	}
	return fmt.Sprintf("agent %s (%s) runs twice, at %s and %s: neither is believed. If both run, from copies of one data directory: stop one and empty its directory; the other is believed again within a minute. If only one runs, from a restored directory: stop it, empty that directory and start it with --join", name, id, a, b)
}

// StaleText reports an agent that runs from a copy of its disk which is older
// than what was seen of its id.
func StaleText(name string, id election.ID, at netip.AddrPort, start, known uint64) string {
	return fmt.Sprintf("agent %s (%s) at %s runs from an old copy of its data directory, such as a restored snapshot (start %d, %d was seen): it is ignored; stop it, empty that directory and start it with --join", name, id, at, start, known)
}

// NodeMeta, NotifyMsg and the rest make a memberlist.Delegate. It carries the
// metadata, and the questions and answers of ask.go.
func (g *Gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sumMeta(g.mu.meta, g.opts.ID.String(), g.opts.Port.Advertised())
}
func (g *Gossip) NotifyMsg(b []byte)              { g.asks.take(b) }
func (g *Gossip) GetBroadcasts(int, int) [][]byte { return nil }
func (g *Gossip) LocalState(bool) []byte          { return nil }
func (g *Gossip) MergeRemoteState([]byte, bool)   {}
func (g *Gossip) AckPayload() []byte              { return nil }

// NotifyPingComplete notes a round trip.
func (g *Gossip) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	id, err := election.ParseID(n.Name)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[id]; p != nil {
		if p.RTT == 0 {
			p.RTT = rtt
		}
		p.RTT += (rtt - p.RTT) / 8
	}
}
