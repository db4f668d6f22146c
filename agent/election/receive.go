package election

import (
	"cmp"
	"time"
)

// receive handles one message. The caller has checked that it is for this
// node and, as far as the network allows, who sent it.
func (n *Node) receive(now time.Duration, m *Message, fx *Effects) {
	if m.FlockID != n.rec.FlockID || m.FlockID.IsZero() || m.From == n.set.ID || m.Term > MaxTerm {
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
	}
	n.spreadConfig(now, m, fx)
}

// plausible tells that no number of a message is so far ahead of this node's own
// that to take it would use the numbers up (rule 26).
func (n *Node) plausible(m *Message) bool {
	var term, version uint64 // of a newer generation nothing is known yet
	switch own := n.rec.Generation; {
	case m.Generation.Number < own.Number:
		return true // refused as old
	case m.Generation.Number > own.Number:
		if farAhead(own.Number, m.Generation.Number, MaxGeneration, generationLeap) {
			return false
		}
	default:
		term, version = n.rec.Term, n.rec.Config.Version
	}
	return !farAhead(term, max(m.Term, m.ConfigID.Term), MaxTerm, termLeap) &&
		!farAhead(version, m.ConfigID.Version, MaxTerm, termLeap)
}

// farAhead tells that a number past half its range is more than a leap above one's own.
func farAhead(own, shown, most, leap uint64) bool { return shown > most/2 && shown > own+leap }

// spreadConfig sends this node's config to one of the flock whose message shows
// an older one (rule 27), paced as Rejects are. The answers to requests, and the
// heartbeats that follow an ack, carry it anyway; a Reject is never answered.
func (n *Node) spreadConfig(now time.Duration, m *Message, fx *Effects) {
	switch {
	case m.Kind == Reject || m.Kind == VoteRequest || m.Kind == PreVoteRequest && m.Nonce != 0:
		return
	case m.Kind == HeartbeatAck && n.role == Leader:
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
	if older < 0 && in.ID != n.set.ID && n.rec.Config.N > 0 {
		n.send(in.ID, Message{Kind: Reject, Config: n.rec.Config}, fx)
	}
}

// named tells whether a message is meant for this process and no former one of
// this disk (rule 11): a recording of what a former one was sent binds nobody.
func (n *Node) named(m *Message) bool { return m.ToLife == n.set.Life }

// asked is the promise that a heartbeat asks of this process. The ack tells the
// leader the life that its next one must name.
func (n *Node) asked(m *Message) time.Duration {
	if !n.named(m) {
		return 0
	}
	return m.Promise
}

// learn takes what a message shows of generations, configs and terms (rules
// 26, 6 and 7), and tells whether the message itself is to be handled.
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
	if c := &m.Config; c.N > 0 && c.ConfigID == m.ConfigID && c.Compare(n.rec.Config.ConfigID) > 0 {
		if !n.install(now, c, m.From, fx) {
			return false
		}
	}
	if m.Term > n.rec.Term && n.adoptable(m) {
		n.adoptTerm(now, m.Term, fx)
	}
	return true
}

// adoptable tells whether a message's higher term is to be taken (rule 7).
// The requests and the heartbeat decide for themselves; a granted PreVote
// names the term of a voter that would follow us.
func (n *Node) adoptable(m *Message) bool {
	switch m.Kind {
	case PreVoteRequest, VoteRequest, Heartbeat:
		return false
	case PreVoteReply:
		if m.Granted {
			return false
		}
	}
	if n.trusted(m) {
		return true
	}
	if p := n.peerOf(m.From); p != nil && n.role == Leader {
		p.term = max(p.term, m.Term)
	}
	return false
}

// trusted tells whether a higher term of this sender counts: it is in our
// config, or shows a newer one (rule 7).
func (n *Node) trusted(m *Message) bool {
	return n.rec.Config.Has(m.From) || m.ConfigID.Compare(n.rec.Config.ConfigID) > 0
}

// takeGeneration enters a higher generation (rule 26). Without its config
// there is nothing to enter: our answer shows the lower number, and gets it.
func (n *Node) takeGeneration(now time.Duration, m *Message, fx *Effects) bool {
	if m.Config.N == 0 || m.Config.ConfigID != m.ConfigID {
		switch m.Kind {
		case PreVoteRequest:
			n.send(m.From, Message{Kind: PreVoteReply, Nonce: m.Nonce, Reason: OldConfig}, fx)
		case VoteRequest:
			n.send(m.From, Message{Kind: VoteReply, Reason: OldConfig}, fx)
		case Heartbeat:
			n.send(m.From, Message{Kind: HeartbeatAck, Round: m.Round}, fx)
		}
		return false
	}
	n.follow(now, ID{}, fx)
	n.rec.Generation = m.Generation
	n.rec.Config = m.Config
	n.rec.Term = max(m.Term, m.Config.Term) // terms restart at 0 in each generation
	n.rec.Vote = ID{}
	n.ranked = false
	n.heard, n.resigned = heard{}, Promise{} // they name terms of the old one
	fx.event(EventInstalled, n.rec.Term, m.From)
	n.observeVoters()
	n.schedule(now)
	return true
}

// install takes a newer config (rule 6). A leader never installs: it steps
// down by the term that the newer config brings.
func (n *Node) install(now time.Duration, c *Config, from ID, fx *Effects) bool {
	if n.role == Leader && c.Term <= n.rec.Term {
		fx.event(EventTwoLeaders, c.Term, from) // only a leader of our own term could have made it
		return false
	}
	if c.Term > n.rec.Term {
		n.rec.Term, n.rec.Vote = c.Term, ID{}
	}
	if n.role != Follower {
		n.follow(now, ID{}, fx)
	}
	first := n.rec.Config.N == 0
	n.rec.Config = *c
	n.ranked = false
	n.observeVoters()
	if first || now >= n.electAt {
		n.schedule(now)
	}
	fx.event(EventInstalled, c.Term, from)
	return true
}

// adoptTerm raises the term; whoever led or campaigned in an older one stops.
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
	c := n.newerConfig(m)
	if m.Generation.Number < n.rec.Generation.Number {
		c = n.rec.Config
	}
	n.send(m.From, Message{Kind: Reject, Config: c}, fx)
}

// newerConfig gives our config when the sender's is older, else none.
func (n *Node) newerConfig(m *Message) Config {
	if n.rec.Config.Compare(m.ConfigID) > 0 {
		return n.rec.Config
	}
	return Config{}
}
