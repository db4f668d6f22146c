package election

import "time"

// mcUntimed is the model without time: every timeout may strike at any moment
// and no promise ever holds, so it allows more than any run with clocks. It
// shows what may not depend on clocks: one goose a term, one vote a term, the
// order of configs. What it leaves out, and why nothing is lost by that:
//
//   - A message stays in flight for ever, so it may come late, twice, or never.
//     It goes once it can change nothing: terms and configs only grow.
//   - PreVotes succeed whenever that is asked: they change no state.
//   - Refusals and Rejects are one message, which anybody may send to anybody
//     at any time: all they carry is a term and a config.
//   - Rounds are one: every heartbeat and every ack counts as fresh.
//   - A crash between saving and sending is a message that never comes, a crash
//     before saving an input that never came; so a crash and the restart are one move.
type mcUntimed struct {
	mcHarness
	configs  []Config
	terms    uint64
	versions uint64
	tables   bool // leaders add to the table, too
	fixed    bool // no voter is added or removed
	marks    uint64
}

func (u *mcUntimed) limits() mcLimits      { return mcLimits{crashes: -1} }
func (u *mcUntimed) age(m Message) Message { return m }

func mcSettings(id ID) Settings {
	return Settings{ID: id, Heartbeat: 5 * time.Millisecond, Lease: 50 * time.Millisecond, Eps: time.Millisecond}
}

func (u *mcUntimed) start() []mcStart {
	var all []mcStart
	for _, c := range u.configs {
		var st mcStart
		for i := range st.agents {
			a := &st.agents[i]
			a.disk = Record{FlockID: testFlock, PromiseMax: 50 * time.Millisecond}
			if c.Has(mcID(i)) {
				a.disk.Config = c
			}
			u.boot(a, mcID(i), true, mcSettings(mcID(i)))
			a.remember()
			u.settle(a)
		}
		all = append(all, st)
	}
	return all
}

func (u *mcUntimed) moves(a *mcAgent) []mcMove {
	n := &a.node
	mvs := []mcMove{{what: "restarts"}}
	switch n.role {
	case Follower:
		if n.mayCampaign() && n.rec.Term < u.terms {
			mvs = append(mvs, mcMove{what: "campaigns"})
		}
	case Candidate:
		mvs = append(mvs, mcMove{what: "stands down"})
	case Leader:
		mvs = append(mvs, mcMove{what: "resigns"})
		if n.rec.Mark < u.marks {
			mvs = append(mvs, mcMove{what: "advances the mark"})
		}
		if u.tables {
			mvs = append(mvs, mcMove{what: "adds to the table"})
		}
		for i := range mcAgents {
			id := mcID(i)
			if id == n.set.ID {
				continue
			}
			has := n.rec.Config.Has(id)
			if has {
				mvs = append(mvs, mcMove{what: "steps down for", arg: i})
			}
			if has && !u.fixed {
				mvs = append(mvs, mcMove{what: "removes", arg: i})
			}
			if !has && !u.fixed {
				mvs = append(mvs, mcMove{what: "adds", arg: i})
			}
		}
		for t := n.rec.Term; t < u.terms; t++ {
			mvs = append(mvs, mcMove{what: "raises the term above", arg: int(t)})
		}
	}
	return mvs
}

func (u *mcUntimed) step(a *mcAgent, mv mcMove) (sent []Message, ok bool) {
	n := &a.node
	was := *n
	switch mv.what {
	case "":
		in := *mv.msg
		sent = u.do(a, &in, nil)
	case "restarts":
		u.boot(a, n.set.ID, false, n.set)
	case "advances the mark":
		sent = u.advance(a)
	case "campaigns":
		sent = u.campaign(a, nil)
	case "stands down":
		n.standAt = 1
		sent = u.do(a, Tick{}, nil)
	case "resigns":
		n.gaveUp, n.gaveUpTo, n.timeoutAt = true, ID{1}, mcNow-n.set.Lease
		sent = u.do(a, Tick{}, nil)
	case "removes", "adds":
		sent = u.change(a, Change{Voter: Voter{mcID(mv.arg), 100}, Remove: mv.what == "removes"})
	case "adds to the table":
		table := n.rec.Config.Table
		table[mcIndex(n.set.ID)]++
		sent = u.change(a, Change{Table: table})
	case "steps down for":
		for i := range n.peers[:n.npeers] {
			n.peers[i].round, n.peers[i].ackAt = 1, mcNow
		}
		sent = u.do(a, StepDown{To: mcID(mv.arg)}, nil)
	case "raises the term above":
		sent = u.do(a, RaiseTerm{Term: uint64(mv.arg)}, nil)
	}
	if n.rec.Term > u.terms || n.rec.Config.Version > u.versions {
		return nil, false
	}
	if c := &n.rec.Config; u.tables && n.Committed() && !c.Table.IsZero() {
		a.ghost.begun = mcBegun{c.ConfigID, c.Table}
	}
	if u.marks > 0 {
		a.ghost.marks.book(&was, n)
	}
	u.settle(a)
	return mcPlain(sent), true
}

// campaign lets a follower time out, and every PreVote succeed.
func (h *mcHarness) campaign(a *mcAgent, sent []Message) []Message {
	n := &a.node
	n.electAt = 0
	sent = h.do(a, Tick{}, sent)
	for i := 0; n.role == PreCandidate && i < mcAgents; i++ {
		if id := mcID(i); id != n.set.ID {
			sent = h.do(a, &Message{Kind: PreVoteReply, Granted: true, Nonce: n.nonce, Header: Header{
				FlockID: n.rec.FlockID, Generation: n.rec.Generation, From: id, To: n.set.ID, Term: n.rec.Term, ConfigID: n.rec.Config.ConfigID,
			}}, sent)
		}
	}
	return sent
}

// change lets a leader change its voters, or the table, while everybody's promise is good.
func (u *mcUntimed) change(a *mcAgent, c Change) []Message {
	n := &a.node
	if c.Table.IsZero() {
		n.observe(c.Voter.ID)
	}
	a.promised()
	sent := u.do(a, c, nil)
	n.pendingRound = 0 // they have answered
	return u.do(a, Busy{}, sent)
}

// promised makes everybody's promise to a leader good for a moment.
func (a *mcAgent) promised() {
	n := &a.node
	n.selfExpiry = mcNow + 1
	for i := range n.peers[:n.npeers] {
		n.peers[i].expiry = mcNow + 1
	}
}

// settle forgets what only time, chance and counters tell apart.
func (u *mcUntimed) settle(a *mcAgent) {
	n := &a.node
	out := Node{set: n.set, pace: n.pace, heardLease: n.heardLease, rec: n.rec, role: n.role, leader: n.leader, leaderTerm: n.leaderTerm}
	out.target = n.rec.PromiseMax
	if n.leaderTerm != n.rec.Term || n.leader.IsZero() {
		out.leader, out.leaderTerm = ID{}, 0 // no TimeoutNow of it counts
	}
	switch n.role {
	case Candidate:
		out.transferFrom, out.transferTerm = n.transferFrom, n.transferTerm
	case Leader:
		out.marked = n.marked
		out.gaveUp, out.gaveUpTo = n.gaveUp, n.gaveUpTo
		out.round, out.firstRound, out.quorateAt = 1, 1, mcNow+n.set.Lease
		out.rounds[1] = round{sentAt: mcNow, asked: n.set.Lease}
	}
	out.npeers = n.npeers
	for i := range n.peers[:n.npeers] {
		p, q := &n.peers[i], &out.peers[i]
		q.id = p.id
		if n.role == Candidate {
			q.granted = p.granted && n.rec.Config.Has(p.id)
		}
		if n.role == Leader && p.acked == n.rec.Config.ConfigID {
			q.acked = p.acked
		}
		if n.role == Leader {
			q.mark = p.mark
		}
	}
	mcSortPeers(&out)
	*n = out
}

// mcPlain gives the messages that matter to an untimed model, in one form.
func mcPlain(sent []Message) []Message {
	var out []Message
	for _, m := range sent {
		switch m.Kind {
		case VoteReply:
			if !m.Granted {
				continue
			}
		case Heartbeat:
			m.Round, m.Promise, m.Ranks, m.Ages, m.RTT = 1, 50*time.Millisecond, [MaxVoters]uint8{}, [MaxVoters]uint8{}, 0
			if m.Config.N == 0 && m.Mark == 0 {
				continue // the same with its config is in flight for ever
			}
		case HeartbeatAck:
			m.Round, m.Promise = 1, 50*time.Millisecond
		case PreVoteRequest, PreVoteReply, Reject, Resign:
			continue
		}
		out = append(out, m)
	}
	return out
}

func (u *mcUntimed) dead(a *mcAgent, m *Message) bool { return m.Kind != u.fault.stale && mcDead(a, m) }

// mcDead tells that a message is below its receiver's term or config, or
// answers a question that is over.
func mcDead(a *mcAgent, m *Message) bool {
	r := &a.node.rec
	newer := m.Config.N > 0 && m.Config.Compare(r.Config.ConfigID) > 0
	switch m.Kind {
	case VoteRequest:
		return m.Term < r.Term || m.Term == r.Term && !r.Vote.IsZero() && r.Vote != m.From
	case VoteReply:
		p := a.node.peerOf(m.From)
		return m.Term < r.Term || m.Term == r.Term && (a.node.role != Candidate || p != nil && p.granted)
	case Heartbeat:
		return m.Term < r.Term && !newer
	case HeartbeatAck:
		return m.Term < r.Term || m.Term == r.Term && (a.node.role != Leader || m.ConfigID != r.Config.ConfigID || a.node.peerOf(m.From).acked == m.ConfigID && a.node.peerOf(m.From).mark >= m.Mark)
	case TimeoutNow, Resign:
		return m.Term < r.Term
	case Reject:
		return m.Term <= r.Term && !newer
	}
	return false
}
