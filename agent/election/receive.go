package election

import (
	"cmp"
	"time"
)

// receive handles one message. The caller has checked who sent it, and to whom.
func (n *Node) receive(now time.Duration, m *Message, fx *Effects) {
	if m.FlockID != n.rec.FlockID || m.FlockID.IsZero() || m.From == n.set.ID || m.Config.N > 0 && m.Config.ConfigID != m.ConfigID {
		return
	}
	if !n.plausible(m) {
		fx.event(EventImplausible, m.Term, m.From)
		return
	}
	if (m.Kind == TimeoutNow || m.Kind == Resign) && !n.named(m) {
		return
	}
	if !n.learn(now, m, fx) {
		return
	}
	switch m.Kind {
	case PreVoteRequest:
		n.handlePreVote(now, m, fx)
	case VoteRequest:
		n.handleVote(now, m, fx)
	case PreVoteReply:
		n.handlePreVoteReply(now, m, fx)
	case VoteReply:
		n.handleVoteReply(now, m, fx)
	case Heartbeat:
		n.handleHeartbeat(now, m, fx)
	case HeartbeatAck:
		n.handleAck(now, m, fx)
	case TimeoutNow:
		n.handleTimeoutNow(now, m, fx)
	case Resign:
		n.handleResign(now, m)
	case Announce:
		n.handleAnnounce(now, m, fx)
	}
	n.spreadConfig(now, m, fx)
}

// plausible reports whether no number in a message is too far ahead of this node's own
// (rule 26).
func (n *Node) plausible(m *Message) bool {
	var term, version uint64 // of a newer generation nothing is known yet
	switch own := n.rec.Generation; {
	case m.Generation.Number < own.Number:
		return true // refused as old
	case m.Generation.Number == own.Number:
		term, version = n.rec.Term, n.rec.Config.Version
	}
	return !farAhead(n.rec.Generation.Number, m.Generation.Number, MaxGeneration, generationLeap) && !farAhead(term, max(m.Term, m.ConfigID.Term, m.GooseTerm), MaxTerm, termLeap) &&
		!farAhead(version, m.ConfigID.Version, MaxTerm, termLeap)
}

// farAhead reports whether a number is out of its range, or past half of it and more
// than a leap above this node's own.
func farAhead(own, shown, most, leap uint64) bool { return shown > max(most/2, min(own+leap, most)) }

// spreadConfig sends this node's config to the sender of a message with an older one
// (rule 27). Answers to requests carry it anyway; a Reject is never answered.
func (n *Node) spreadConfig(now time.Duration, m *Message, fx *Effects) {
	if m.Kind == Reject || m.Kind == VoteRequest || m.Kind == PreVoteRequest && m.Nonce != 0 {
		return
	}
	if n.rec.Config.Compare(m.ConfigID) > 0 {
		n.reject(now, m, fx)
	}
}

// seen sends this node's config to an agent that shows an older one in gossip (rule 27).
func (n *Node) seen(in Seen, fx *Effects) {
	older := cmp.Compare(in.Generation, n.rec.Generation.Number)
	if older == 0 {
		older = in.Config.Compare(n.rec.Config.ConfigID)
	}
	if older < 0 && in.ID != n.set.ID {
		n.send(in.ID, Message{Kind: Reject, Config: n.rec.Config}, fx)
	}
}

// named reports whether a message is for this process. A replay to an earlier process of
// this disk is not (rule 11).
func (n *Node) named(m *Message) bool { return m.ToLife == n.set.Life }

// asked returns the promise that a heartbeat asks of this process. The ack tells the
// leader which life to name. A leader that has resigned asks for nothing, though its
// heartbeats may come late (rule 12).
func (n *Node) asked(m *Message) time.Duration {
	if !n.named(m) || n.resigned.To == m.From && n.resigned.Term == m.Term {
		return 0
	}
	return m.Promise
}

// learn takes a message's generation, config and term (rules 26, 6, 7), and reports
// whether to handle the message itself.
func (n *Node) learn(now time.Duration, m *Message, fx *Effects) bool {
	switch {
	case m.Generation.Number < n.rec.Generation.Number:
		if m.Kind != Reject {
			n.reject(now, m, fx)
		}
		return false
	case m.Generation.Number > n.rec.Generation.Number:
		if !n.takeGeneration(now, m, fx) {
			return false
		}
	case m.Generation.Tag != n.rec.Generation.Tag:
		fx.event(EventForeign, m.Term, m.From)
		return false
	}
	if m.Config.N > 0 && m.Config.Compare(n.rec.Config.ConfigID) > 0 && !n.install(now, m, fx) {
		return false
	}
	if m.Term > n.rec.Term && n.adoptable(m) {
		n.adoptTerm(now, m.Term, fx)
	}
	return true
}

// adoptable reports whether to take a message's higher term (rule 7). Requests and
// heartbeats do that themselves; a granted PreVote comes from a voter that would follow
// this node. Announcements change no term: their sender is not the goose.
func (n *Node) adoptable(m *Message) bool {
	switch {
	case m.Kind == Announce:
		return false
	case m.Kind == PreVoteRequest || m.Kind == VoteRequest || m.Kind == Heartbeat || m.Kind == PreVoteReply && m.Granted:
		return false
	case n.trusted(m):
		return true
	}
	if p := n.peerOf(m.From); p != nil {
		p.term = m.Term
	}
	return false
}

// trusted reports whether a higher term counts: its sender is in this node's config, or
// shows a newer one (rule 7).
func (n *Node) trusted(m *Message) bool {
	return n.rec.Config.Has(m.From) || m.ConfigID.Compare(n.rec.Config.ConfigID) > 0
}

// takeGeneration enters a higher generation (rule 26), or asks for its config.
func (n *Node) takeGeneration(now time.Duration, m *Message, fx *Effects) bool {
	if m.Config.N == 0 {
		if m.Kind != Reject {
			n.send(m.From, Message{Kind: PreVoteRequest}, fx)
		}
		return false
	}
	n.follow(now, ID{}, fx)
	n.rec.Generation = m.Generation
	n.rec.Term, n.rec.Vote = max(m.Term, m.Config.Term), ID{} // terms restart at 0 in each generation
	if !m.Config.Has(n.set.ID) {
		n.rec.Mark = 0 // the recovery did not keep this agent: its mark may be what the recovery undid (rule 29)
	}
	n.heard, n.resigned, n.news = heard{}, Promise{}, News{} // they name terms of the old one
	n.enter(now, m, fx)
	return true
}

// install takes a newer config (rule 6). A leader is first deposed by its term.
func (n *Node) install(now time.Duration, m *Message, fx *Effects) bool {
	if n.role == Leader && m.Config.Term <= n.rec.Term {
		fx.event(EventTwoLeaders, m.Config.Term, m.From) // only another leader of this term could have made it
		return false
	}
	if m.Config.Term > n.rec.Term {
		n.rec.Term, n.rec.Vote = m.Config.Term, ID{}
	}
	if n.role != Follower {
		n.follow(now, ID{}, fx)
	}
	n.enter(now, m, fx)
	return true
}

// enter makes a message's config this node's own.
func (n *Node) enter(now time.Duration, m *Message, fx *Effects) {
	n.rec.Config, n.ranked = m.Config, false
	n.observeVoters()
	n.schedule(now)
	fx.event(EventInstalled, n.rec.Term, m.From)
}

// adoptTerm raises the term; a leader or candidate of an older term stops.
func (n *Node) adoptTerm(now time.Duration, term uint64, fx *Effects) {
	n.rec.Term, n.rec.Vote = term, ID{}
	if n.role != Follower {
		n.follow(now, ID{}, fx)
		n.schedule(now)
	}
}

// follow makes the node a follower of leader, or of nobody yet.
func (n *Node) follow(now time.Duration, leader ID, fx *Effects) {
	if n.role == Leader {
		if !n.gaveUp {
			fx.event(EventDeposed, n.rec.Term, leader)
		}
		n.leaveLead()
	}
	n.role = Follower
	n.leader = leader
}

// reject tells a sender that it lacks our term, config or generation (rule 9).
func (n *Node) reject(now time.Duration, m *Message, fx *Effects) {
	next := &n.rejectAt
	if p := n.peerOf(m.From); p != nil {
		next = &p.rejectAt
	}
	if now < *next {
		return
	}
	*next = now + rejectEvery
	n.send(m.From, Message{Kind: Reject, Config: n.newerConfig(m)}, fx)
}

// newerConfig returns this node's config if the sender's is older, else none.
func (n *Node) newerConfig(m *Message) Config {
	if m.Generation.Number < n.rec.Generation.Number || n.rec.Config.Compare(m.ConfigID) > 0 {
		return n.rec.Config
	}
	return Config{}
}
