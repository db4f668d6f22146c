package agent

import (
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"
)

const stateAlive = api.StateAlive

// temporary, until gossip is a package of its own
func (p peer) seen() member.Peer {
	q := member.Peer{ID: p.ID, Addr: p.Addr, RTT: p.RTT, Meta: p.Meta.meta()}
	switch p.State {
	case api.StateAlive:
		q.State = member.Alive
	case api.StateLeft:
		q.State = member.Left
	default:
		q.State = member.Failed
	}
	return q
}

func (m peerMeta) meta() member.Meta {
	return member.Meta{
		Name: m.Name, FlockID: m.FlockID, Start: m.Start, Life: m.Life, Priority: m.Priority, Expect: m.Expect, Observer: m.Observer,
		Accepted: m.Accepted, Left: m.Left, Settled: m.Settled, Holders: m.Holders, Tags: m.Tags, PreemptAfter: m.PreemptAfter,
		Freeze: member.FreezeNotice(m.Freeze), Elections: m.Elections,
	}
}

func metaOf(m member.Meta) peerMeta {
	return peerMeta{
		Name: m.Name, FlockID: m.FlockID, Start: m.Start, Life: m.Life, Priority: m.Priority, Expect: m.Expect, Observer: m.Observer,
		Accepted: m.Accepted, Left: m.Left, Settled: m.Settled, Holders: m.Holders, Tags: m.Tags, PreemptAfter: m.PreemptAfter,
		Freeze: freezeNotice(m.Freeze), Elections: m.Elections,
	}
}
