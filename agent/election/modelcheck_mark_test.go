package election

import "fmt"

// mcMarks is what P9 must remember of an agent: the highest mark that it reported as
// committed, in which term, and with what mark it won the last term that it won.
type mcMarks struct {
	committed, in uint64
	won, base     uint64
}

// book keeps what an agent has reported, and with what it won.
func (g *mcMarks) book(was, n *Node) {
	if n.role != Leader {
		return
	}
	if was.role != Leader || was.rec.Term != n.rec.Term {
		g.won, g.base = n.rec.Term, n.rec.Mark
	}
	if _, committed := n.Mark(); committed > g.committed {
		g.committed, g.in = committed, n.rec.Term
	}
}

// lost tells that a mark which one agent reported is below what another won a later
// term with: P9 is broken. That holds for a mark that is reported after that win,
// too: the other may have committed the same mark for somebody else.
func (g *mcMarks) lost(other *mcMarks) string {
	if g.committed > 0 && other.won > g.in && other.base < g.committed {
		return fmt.Sprintf("P9: mark %d of term %d is unknown to the winner of term %d", g.committed, g.in, other.won)
	}
	return ""
}

// advance lets a goose raise its mark by one while everybody's promise is good.
func (u *mcUntimed) advance(a *mcAgent) []Message {
	a.promised()
	sent := u.do(a, Busy{}, nil)
	return u.do(a, Advance{To: a.node.rec.Mark + 1}, sent)
}

// The planted faults of marks, for [TestModelCheckCatches].
var (
	markNotSaved = mcFault{name: "mark not saved before the ack", saved: func(was, r Record) Record { r.Mark = was.Mark; return r }}

	marksNotRead = mcFault{name: "mark not read from the majority", before: func(_ *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == VoteReply {
			m.Mark = 0
		}
		return in
	}}
	marksNotReadByTransfer = mcFault{name: "mark forgotten by a transfer", before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == VoteReply && !n.transferFrom.IsZero() {
			m.Mark = 0
		}
		return in
	}}
	markOfOldMembers = mcFault{name: "mark counted under old members", after: func(_, n *Node, _ Input, _ *Effects) {
		if n.role == Leader { // as when it was the only voter
			n.eachVoter(func(p *peer) { p.mark = n.rec.Mark })
		}
	}}
	markOfAnyAck = mcFault{name: "an ack of an earlier mark counted", stale: HeartbeatAck, before: func(n *Node, in Input) Input {
		if m, ok := in.(*Message); ok && m.Kind == HeartbeatAck {
			m.Mark = n.rec.Mark
		}
		return in
	}}
	markOfOneTerm = mcFault{name: "mark forgotten by a new term", counted: func(was, n *Node, _ Input, fx *Effects) {
		if n.rec.Term > was.rec.Term && n.role == Follower {
			n.rec.Mark = 0
			mcShow(n, fx)
		}
	}}
	markOfOneConfig = mcFault{name: "mark forgotten by a new config", counted: func(was, n *Node, _ Input, fx *Effects) {
		if n.rec.Config.ConfigID != was.rec.Config.ConfigID && n.role == Follower {
			n.rec.Mark = 0
			mcShow(n, fx)
		}
	}}
	lowerTermAcked = mcFault{
		name: "a mark of a lower term acknowledged", stale: Heartbeat,
		before: func(n *Node, in Input) Input {
			if m, ok := in.(*Message); ok && m.Kind == Heartbeat && m.Term < n.rec.Term && n.role == Follower {
				n.rec.Term, n.rec.Vote = m.Term, m.From
			}
			return in
		},
		counted: func(was, n *Node, _ Input, fx *Effects) {
			if n.rec.Term < was.rec.Term {
				n.rec.Term, n.rec.Vote = was.rec.Term, was.rec.Vote
				fx.Record = n.rec
			}
		},
	}
)
