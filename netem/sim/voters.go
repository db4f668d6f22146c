package sim

import (
	"slices"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
)

// steerVoters makes the one change of voters that the autopilot asks for.
func (l *life) steerVoters(now time.Duration) error {
	if l.node.Role() != election.Leader || l.node.HandingOver() || l.node.Lease().Until <= now {
		return nil
	}
	rec := l.node.Record()
	v := autopilot.View{
		Self: l.id, Term: rec.Term, Config: rec.Config, Committed: l.node.Committed(), Limit: l.sim.set.Voters,
		Members: l.members(now), Silent: l.node.Silent(now),
	}
	if autopilot.Unfit(v) && l.handing == nil && now >= l.unfitAt && !l.node.Successor(now).IsZero() {
		l.unfitAt = now + unfitEvery
		_, err := l.stepDown(election.ID{})
		return err
	}
	change, ok := l.pilot.Decide(now, v)
	if !ok {
		return l.steerTable(now)
	}
	for _, c := range l.contacts {
		if c.ID == change.Voter.ID && !change.Remove && c.Term > rec.Term && l.handing == nil {
			return l.beginHandover(handover{raiseTo: c.Term})
		}
	}
	if err := l.step(change); err != nil {
		return err
	}
	if l.fx.Err == nil {
		l.sim.stats.VoterChanges++
	}
	return nil
}

func (l *life) members(now time.Duration) []autopilot.Member {
	l.contacts = l.node.Contacts(l.contacts[:0])
	members := make([]autopilot.Member, 0, len(l.views))
	for i := range l.views {
		v := &l.views[i]
		if v.state == leftPeer || !v.meta.flock.IsZero() && v.meta.flock != l.flockID() {
			continue
		}
		var c election.Contact
		if i := slices.IndexFunc(l.contacts, func(c election.Contact) bool { return c.ID == v.id }); i >= 0 {
			c = l.contacts[i]
		}
		members = append(members, autopilot.Member{
			ID: v.id, Alive: v.state == alivePeer, Acks: c.InTerm && now-c.AckAt < l.timing.Lease,
			Observer: v.meta.observer, Priority: v.meta.priority,
			Leaving: l.wantsOut(v.id), Forced: slices.ContainsFunc(l.forced, func(f forced) bool { return f.id == v.id }),
		})
	}
	return members
}

// membersChanged takes gossip's view in: addresses, and who is kept in view.
func (l *life) membersChanged() error {
	l.peers = l.peers[:0]
	for i := range l.views {
		v := &l.views[i]
		if v.state == alivePeer && v.id != l.id {
			l.gossiped(v)
		}
		if v.state != leftPeer && v.id != l.id {
			l.peers = append(l.peers, knownPeer{v.id, v.addr})
		}
	}
	l.choresAt = 0
	return l.keepInView()
}

// gossiped learns an address from gossip. Datagrams of the same start know
// better, until gossip shows another address than before.
func (l *life) gossiped(v *view) {
	p := l.book[v.id]
	if v.meta.start < p.start {
		return
	}
	if v.meta.start > p.start {
		p = page{start: v.meta.start}
	}
	if p.life == 0 {
		p.life = v.meta.life
	}
	if p.told != v.addr {
		p.left = p.told
	}
	if p.seq == 0 || p.told != v.addr {
		p.addr = v.addr
	}
	p.told = v.addr
	l.book[v.id] = p
}

// keepInView tells the node which observers may become voters.
func (l *life) keepInView() error {
	if l.node == nil {
		return nil
	}
	for i := range l.views {
		v := &l.views[i]
		known := v.id == l.id || l.inView(v.id)
		var in election.Input
		switch {
		case v.id == l.id:
			continue
		case v.state == alivePeer && !known && v.meta.flock == l.flockID() && !v.meta.observer:
			in = election.Observe{ID: v.id}
		case v.state != alivePeer && known:
			in = election.Forget{ID: v.id}
		default:
			continue
		}
		if err := l.step(in); err != nil {
			return err
		}
	}
	l.audience = l.audience[:0]
	for i := range l.views {
		v := &l.views[i]
		if v.id != l.id && v.state == alivePeer && !l.inView(v.id) && v.meta.flock == l.flockID() {
			l.audience = append(l.audience, v.id)
		}
	}
	return nil
}

func (l *life) inView(id election.ID) bool {
	l.contacts = l.node.Contacts(l.contacts[:0])
	return slices.ContainsFunc(l.contacts, func(c election.Contact) bool { return c.ID == id })
}
