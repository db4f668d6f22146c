package election

import "time"

// A tick of true time is mcTick. Between two ticks a slow clock runs 1 % less
// than that and a fast one 1 % more: the bounds of rho (P2). A lease is as long
// as a whole number of ticks on a fast clock, and what it is worth ends just
// before that number of ticks on a slow one: the least margin that rule 14 leaves.
const (
	mcTick = 10000 * time.Nanosecond
	mcSlow = mcTick * 99 / 100
	mcFast = mcTick * 101 / 100
	mcLast = 8 // the round of this tick; earlier rounds have smaller numbers
)

// mcTimed is the model for leases. Time passes in ticks, at any moment, so an
// agent may pause between any two moves. Moments are kept as distances from
// now; those that have passed are all alike. Timeouts may strike whenever the
// node's promises and waits allow it, heartbeats leave whenever we like, at
// most one round a tick told apart, and a leader may ask for no promise at any
// time. At most inFlight messages are in flight: of more, any may be lost.
// The rest is as in mcUntimed.
type mcTimed struct {
	mcHarness
	lease    int // in ticks
	terms    uint64
	versions uint64
	inFlight int
	holders  bool // holders are attached everywhere: deadlines are handed out
	configs  []Config
	rates    [][mcAgents]time.Duration
	led      bool     // begin with agent a as goose of term 1, known to all
	later    bool     // and a tick later, with a round in between that nobody got
	first    []mcMove // what a does then
	quiet    bool     // no transfers and no resigning
	grow     bool     // no voter is removed, no change dropped
	still    bool     // time does not pass
	crashes  int      // as in mcLimits
	lives    bool     // a restart is another life, so what is in flight is a recording
	wills    bool     // a goose leaves a last will: see mcWills
	joins    bool     // with holders: they attach later, at any time
}

func (m *mcTimed) limits() mcLimits {
	return mcLimits{inFlight: m.inFlight, ticks: !m.still, crashes: m.crashes}
}

func (m *mcTimed) age(msg Message) Message {
	if msg.Round > uint64(mcLast-m.lease) {
		msg.Round--
	}
	return msg
}

func (m *mcTimed) settings(id ID) Settings {
	d := time.Duration(m.lease) * mcFast
	return Settings{ID: id, Heartbeat: d / 10, Lease: d, Eps: 1}
}

func (m *mcTimed) start() []mcStart {
	var all []mcStart
	for _, c := range m.configs {
		for _, rates := range m.rates {
			var st mcStart
			for i := range st.agents {
				a := &st.agents[i]
				a.ghost.rate = rates[i]
				a.disk = Record{FlockID: testFlock, PromiseMax: m.settings(ID{}).Lease}
				if m.fault.unraised {
					a.disk.PromiseMax = 1
				}
				if c.Has(mcID(i)) {
					a.disk.Config = c
				}
				m.boot(a, mcID(i), true, m.settings(mcID(i)))
				m.attach(a)
				m.settle(a)
				a.remember()
			}
			if m.led {
				m.elect(&st)
			}
			if m.later {
				for i := range st.agents {
					m.pass(&st.agents[i])
				}
				m.step(&st.agents[0], mcMove{what: "sends a round"})
			}
			for _, mv := range m.first {
				sent, _ := m.step(&st.agents[0], mv)
				st.agents[0].remember()
				st.sent = append(st.sent, sent...)
			}
			all = append(all, st)
		}
	}
	return all
}

// elect makes agent a the goose of term 1: all it sends arrives at once.
func (m *mcTimed) elect(st *mcStart) {
	var queue []Message
	act := func(a *mcAgent, mv mcMove) {
		sent, _ := m.step(a, mv)
		a.remember()
		queue = append(queue, sent...)
	}
	act(&st.agents[0], mcMove{what: "campaigns"})
	for len(queue) > 0 {
		msg := queue[0]
		queue = queue[1:]
		act(&st.agents[mcIndex(msg.To)], mcMove{msg: &msg})
	}
	st.past = 1
}

func (m *mcTimed) attach(a *mcAgent) {
	if m.holders && !m.joins {
		m.do(a, Holders{Attached: true}, nil)
	}
}

func (m *mcTimed) moves(a *mcAgent) []mcMove {
	n := &a.node
	mvs := []mcMove{{what: "restarts"}}
	if a.ghost.lags {
		mvs = append(mvs, mcMove{what: "publishes"})
	}
	if n.handedTo > mcNow && (n.role != Leader || n.gaveUp) {
		mvs = append(mvs, mcMove{what: "has drained"})
	}
	mvs = append(mvs, m.willMoves(a)...)
	switch n.role {
	case Follower:
		if n.mayCampaign() && n.rec.Term < m.terms {
			mvs = append(mvs, mcMove{what: "campaigns"})
		}
	case Candidate:
		mvs = append(mvs, mcMove{what: "stands down"})
		if m.inFlight > 0 {
			mvs = append(mvs, mcMove{what: "asks again"})
		}
	case Leader:
		mvs = append(mvs, mcMove{what: "sends a round"})
		if n.gaveUp {
			mvs = append(mvs, mcMove{what: "resigns"})
			break
		}
		if m.versions > 1 {
			mvs = append(mvs, mcMove{what: "sends a round that asks nothing"})
		}
		if n.hasPending && !m.grow {
			mvs = append(mvs, mcMove{what: "drops the change"})
		}
		if !m.quiet {
			mvs = append(mvs, mcMove{what: "stops"})
		}
		for i := range mcAgents {
			id := mcID(i)
			if id == n.set.ID {
				continue
			}
			has := n.rec.Config.Has(id)
			if has && !m.quiet {
				mvs = append(mvs, mcMove{what: "steps down for", arg: i})
			}
			if n.rec.Config.Version < m.versions {
				if has && !m.grow {
					mvs = append(mvs, mcMove{what: "removes", arg: i})
				} else if !has {
					mvs = append(mvs, mcMove{what: "adds", arg: i})
				}
			}
		}
		if !m.quiet && n.rec.Term < m.terms {
			mvs = append(mvs, mcMove{what: "raises the term above", arg: int(n.rec.Term)})
		}
	}
	return mvs
}

func (m *mcTimed) step(a *mcAgent, mv mcMove) (sent []Message, ok bool) {
	if mv.what == "tick" {
		m.pass(a)
		return nil, true
	}
	n, g := &a.node, &a.ghost
	shown := a.shownLease()
	g.lags, g.shown = false, Lease{}
	switch mv.what {
	case "":
		in, was := *mv.msg, *n
		sent = m.do(a, &in, nil)
		g.heeds = mcHeeds(&was, n, mv.msg)
		g.wills.revived = mcRevived(&was, n, mv.msg)
	case "restarts":
		g.wills.dies()
		set := n.set
		if m.lives {
			set.Life++
		}
		m.boot(a, n.set.ID, false, set)
		m.attach(a)
		shown = Lease{}
	case "publishes":
		shown = Lease{}
	case "has drained":
		g.handed = [2]Lease{}
		sent = m.do(a, Drained{}, nil)
	case "campaigns":
		sent = m.campaign(a, nil)
	case "stands down":
		n.standAt = 1
		sent = m.do(a, Tick{}, nil)
	case "asks again":
		n.askedAt = mcNow
		sent = m.do(a, Tick{}, nil)
	case "sends a round":
		sent = m.do(a, Tick{}, nil)
	case "sends a round that asks nothing":
		n.quorateAt = mcNow
		for i := range n.peers[:n.npeers] {
			n.peers[i].path = 0
		}
		if n.rec.Config.N == 1 {
			return nil, false // a lone voter is always quorate
		}
		sent = m.do(a, Tick{}, nil)
	case "drops the change":
		n.pendingAt = 0
		sent = m.do(a, Tick{}, nil)
	case "stops":
		sent = m.do(a, StepDown{Stop: true}, nil)
	case "resigns":
		n.timeoutAt = mcNow - n.set.Lease
		n.nextRound = mcNow + 1
		sent = m.do(a, Tick{}, nil)
	case "steps down for":
		for i := range n.peers[:n.npeers] {
			n.peers[i].round, n.peers[i].ackAt = 1, mcNow
		}
		sent = m.do(a, StepDown{To: mcID(mv.arg)}, nil)
	case "removes", "adds":
		sent = m.do(a, Change{Voter: Voter{mcID(mv.arg), 100}, Remove: mv.what == "removes"}, nil)
		n.pendingRound = 0 // every ack counts as an answer: it is no matter of safety
		sent = m.do(a, Busy{}, sent)
	case "has a holder attach":
		sent = m.do(a, Holders{Attached: true}, nil)
	case "has lost its holders":
		g.handed = [2]Lease{}
	case "leaves its will":
		sent = a.will()
	case "raises the term above":
		sent = m.do(a, RaiseTerm{Term: uint64(mv.arg)}, nil)
	}
	if n.rec.Term > m.terms || n.rec.Config.Version > m.versions {
		return nil, false
	}
	if m.fault.lags && shown.Until > mcNow && n.lease != shown && n.lease.Until <= shown.Until {
		g.lags, g.shown = true, shown
	}
	a.handOut()
	m.write(a)
	m.settle(a)
	return m.plain(sent), true
}

// mcHeeds tells that a node was bound by a message for a former life of its disk
// (rule 11): by a promise, or by more than the term and vote of a heartbeat.
func mcHeeds(was, n *Node, m *Message) bool {
	if m.ToLife == n.set.Life {
		return false
	}
	switch m.Kind {
	case Heartbeat:
		return n.promise != was.promise
	case VoteRequest, TimeoutNow, Resign:
		return n.rec != was.rec || n.role != was.role || n.promise != was.promise || n.resigned != was.resigned
	}
	return false
}

// handOut gives the node's lease to its holders.
func (a *mcAgent) handOut() {
	l := a.node.lease
	if !a.node.holders || l.Until <= mcNow {
		return
	}
	for i := range a.ghost.handed {
		h := &a.ghost.handed[i]
		if h.Until <= mcNow || h.Token == l.Token {
			*h = Lease{Token: l.Token, Until: max(h.Until, l.Until)}
			return
		}
	}
}

// pass lets a tick of true time pass for one agent's clock.
func (m *mcTimed) pass(a *mcAgent) {
	n, g := &a.node, &a.ghost
	for _, at := range []*time.Duration{
		&n.promise.End, &n.waitUntil, &n.lease.Until, &n.handedTo, &n.selfExpiry,
		&g.handed[0].Until, &g.handed[1].Until, &g.shown.Until,
	} {
		*at -= g.rate
	}
	for i := range n.peers[:n.npeers] {
		n.peers[i].expiry -= g.rate
	}
	m.settle(a)
}

// ahead gives a moment that is still to come, or 0.
func ahead(at time.Duration) time.Duration {
	if at <= mcNow {
		return 0
	}
	return at
}

// settle forgets what makes no difference.
func (m *mcTimed) settle(a *mcAgent) {
	n, g := &a.node, &a.ghost
	out := Node{
		set: n.set, rec: n.rec, role: n.role, leader: n.leader, leaderTerm: n.leaderTerm,
		promise: n.promise, resigned: n.resigned, waitUntil: ahead(n.waitUntil),
		lease: n.lease, holders: n.holders, handedTo: ahead(n.handedTo),
		target: n.set.Lease, targetSince: mcNow, pace: n.pace, heardLease: n.heardLease,
	}
	if n.leaderTerm != n.rec.Term || n.leader.IsZero() {
		out.leader, out.leaderTerm = ID{}, 0 // no TimeoutNow of it counts
	}
	if n.promise.End <= mcNow {
		out.promise = Promise{}
	}
	if n.resigned.Term < n.rec.Term || n.resigned.To == n.set.ID {
		out.resigned = Promise{} // no heartbeat of it counts
	}
	if n.lease.Until <= mcNow {
		out.lease = Lease{}
	}
	switch n.role {
	case Candidate:
		out.transferFrom, out.transferTerm = n.transferFrom, n.transferTerm
	case Leader:
		out.marked = n.marked
		out.gaveUp, out.gaveUpTo, out.raiseTo = n.gaveUp, n.gaveUpTo, n.raiseTo
		out.hasPending, out.pending = n.hasPending, n.pending
		if n.hasPending {
			out.pendingAt = mcNow
		}
		out.round, out.firstRound, out.quorateAt = mcLast, 1, mcNow+n.set.Lease
		for age := range m.lease + 1 {
			out.rounds[mcLast-age] = round{sentAt: mcNow - time.Duration(age)*g.rate, asked: n.set.Lease}
		}
		out.selfExpiry = ahead(n.selfExpiry)
	}
	out.npeers = n.npeers
	for i := range n.peers[:n.npeers] {
		p, q := &n.peers[i], &out.peers[i]
		q.id = p.id
		if n.role == Candidate {
			q.granted = p.granted && n.rec.Config.Has(p.id)
		}
		if n.role == Leader {
			if q.expiry = ahead(p.expiry); q.expiry > 0 {
				q.length = p.length
			}
			if p.acked == n.rec.Config.ConfigID {
				q.acked = p.acked
			}
		}
	}
	mcSortPeers(&out)
	*n = out
	for i := range g.handed {
		if g.handed[i].Until <= mcNow {
			g.handed[i] = Lease{}
		}
	}
	if g.handed[0].Token < g.handed[1].Token {
		g.handed[0], g.handed[1] = g.handed[1], g.handed[0]
	}
	if g.shown.Until <= mcNow {
		g.lags, g.shown = false, Lease{}
	}
}

// plain gives the messages that matter, in one form.
func (m *mcTimed) plain(sent []Message) []Message {
	var out []Message
	for _, msg := range sent {
		switch msg.Kind {
		case VoteReply:
			if !msg.Granted {
				continue
			}
		case Heartbeat:
			msg.Round, msg.Ranks, msg.Ages, msg.RTT = mcLast, [MaxVoters]uint8{}, [MaxVoters]uint8{}, 0
		case PreVoteRequest, PreVoteReply, Reject:
			continue
		}
		out = append(out, msg)
	}
	return out
}

func (m *mcTimed) dead(a *mcAgent, msg *Message) bool {
	n := &a.node
	switch msg.Kind {
	case m.fault.stale:
		return false
	case HeartbeatAck:
		if msg.Term != n.rec.Term {
			return msg.Term < n.rec.Term
		}
		p := n.peerOf(msg.From)
		news := msg.ConfigID == n.rec.Config.ConfigID && p.acked != msg.ConfigID
		longer := msg.Promise > 0 && n.rounds[msg.Round].sentAt+n.worth(msg.Promise) > max(p.expiry, mcNow)
		return n.role != Leader || !news && (!longer || n.gaveUp)
	case Resign:
		return msg.Term < n.rec.Term && (n.promise.To != msg.From || n.promise.Term != msg.Term)
	}
	return mcDead(a, msg)
}
