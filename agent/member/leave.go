package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// leaveEvery is the pause between two requests to leave.
	leaveEvery = 100 * time.Millisecond
	// leaveRetry is when a leaving goose first tries again to hand over.
	leaveRetry = time.Second
	// leaveFresh is how long the goose acts on a request that is not repeated.
	leaveFresh = 2 * time.Second
	// leaveSpreads is how long gossip may take to spread that an agent has left.
	leaveSpreads = 30 * time.Second
	// leaveSilent is the number of leases without an ack after which a voter counts as
	// dead.
	leaveSilent = 2
	// leaveElections is how long a leaver waits until it votes in no other election.
	leaveElections = 10 * time.Second
)

// leaving is the leaving of this agent: first out of the voters, then out of the flock,
// so that the removal is committed before the agent is gone.
type leaving struct {
	askAt time.Duration
	// outAt is when the goose said that this agent is not a voter any more; 0:
	// not yet. The other elections follow, and have their time.
	outAt time.Duration
	tries int // hand-overs so far
	// fewSince is since when too few of the others answer; 0: enough do. A new goose, or one
	// whose network has just healed, may not know better for a moment.
	fewSince time.Duration
	done     func(error)
}

// Leave begins to leave the flock; done is called once. With force the agent leaves at
// once, whatever that costs the flock.
func (m *Member) Leave(force bool, done func(error)) error {
	if m.leaving != nil {
		done(refused(LeavingAlready))
		return nil
	}
	if force || m.node() == nil || m.node().Record().Config.N == 0 {
		return m.depart(done)
	}
	if err := m.mayLeave(); err != nil && !costsMajority(err) {
		done(err)
		return nil
	}
	m.leaving = &leaving{done: done}
	return m.progressLeave(m.host.Now())
}

// mayLeave returns an error if leaving would end the flock or cost its majority (P8).
func (m *Member) mayLeave() error {
	if m.alive <= 1 {
		return refused(LastAgent)
	}
	goose, self := m.Default().goose()
	if goose.IsZero() {
		return refused(NoGoose)
	}
	c := m.node().Record().Config
	if !c.Has(m.id) {
		return nil
	}
	if self && !m.hasHeir(c) {
		return refused(NoOtherLeader)
	}
	if live, rest := m.answering(&c), c.Without(m.id); rest.N > 0 && live < rest.Quorum() {
		return &Refusal{Code: CostsMajority, Have: live, Need: int(rest.N)}
	}
	return nil
}

func costsMajority(err error) bool {
	refusal, is := err.(*Refusal)
	return is && refusal.Code == CostsMajority
}

// answering counts the other voters that answer the goose, or, while this agent knows of
// no goose that tells, are alive by gossip: that takes seconds to notice a death, and
// longer to notice that an agent is back.
func (m *Member) answering(c *election.Config) (live int) {
	now, n := m.host.Now(), m.node()
	silent := n.Silent(now)
	knows := n.Role() == election.Leader || n.HeardOfVoters(now)
	for i, v := range c.Members() {
		answers := silent[i] <= leaveSilent*m.span()
		if !knows {
			answers = m.IsAlive(v.ID)
		}
		if v.ID != m.id && answers {
			live++
		}
	}
	return live
}

// hasHeir reports whether another agent can take over: a voter, or one that the sole
// voter has just made a voter.
func (m *Member) hasHeir(c election.Config) bool {
	if c.N > 1 {
		return !m.node().Successor(m.host.Now()).IsZero()
	}
	return slices.ContainsFunc(m.peers, func(p Peer) bool {
		return p.ID != m.id && p.State == Alive && !p.Meta.Observer && p.Meta.Priority > 0
	})
}

// progressLeave continues the leaving: a goose hands over first, a duck asks the goose
// until it answers.
func (m *Member) progressLeave(now time.Duration) error {
	l := m.leaving
	if l != nil && l.outAt != 0 {
		if m.votesElsewhere() && now < l.outAt+leaveElections {
			return nil
		}
		m.leaving = nil
		return m.depart(l.done)
	}
	if l == nil || now < l.askAt {
		return nil
	}
	l.askAt = now + leaveEvery
	if err := m.mayLeave(); !costsMajority(err) {
		l.fewSince = 0
	} else {
		if l.fewSince == 0 {
			l.fewSince = now
		}
		if now-l.fewSince >= leaveSilent*m.span() {
			m.leaving = nil
			l.done(err)
		}
		return nil
	}
	e := m.Default()
	goose, self := e.goose()
	switch {
	case self && e.handover == nil && !e.node.Successor(now).IsZero():
		l.askAt = now + leaveRetry<<min(l.tries, 4) // failed attempts must not change the goose again and again
		l.tries++
		e.beginHandover(handover{cause: SteppedDown, done: func(election.ID, error) {}})
	case self && e.handover != nil:
		e.handover.unwell = false // it is needed, however well this agent is
	case self:
		m.leaveAsked[m.id] = now // a sole voter: the autopilot adds a successor first
	case !goose.IsZero():
		e.send(&election.Message{Kind: election.Leave, Header: e.header(goose)})
	}
	return nil
}

// receiveLeave records a request to leave, and answers once the agent is not a voter and
// a majority of the others knows.
func (m *Member) receiveLeave(msg *election.Message) {
	e := m.Default()
	if e.node == nil || e.node.Role() != election.Leader {
		return
	}
	now := m.host.Now()
	m.leaveAsked[msg.From] = now
	if rec := e.node.Record(); rec.Config.Has(msg.From) || !e.node.Committed() {
		m.LookNow()
		return
	}
	m.leaveAsked[msg.From] = now + leaveSpreads
	e.send(&election.Message{Kind: election.LeaveReply, Granted: true, Header: e.header(msg.From)})
}

// receiveLeaveReply ends a leaving: the removal is committed. The reply must be the
// present goose's newest message: a late or repeated reply to an earlier leave would let
// a voter go that is still one.
func (m *Member) receiveLeaveReply(msg *election.Message) error {
	if m.leaving == nil || !msg.Granted || m.node() == nil {
		return nil
	}
	rec := m.node().Record()
	goose, _ := m.Default().goose()
	_, term, _ := m.node().Heard() // the goose's: this agent may be ahead of it (rule 7)
	if goose != msg.From || msg.Generation != rec.Generation || msg.Term < term ||
		msg.ConfigID.Compare(rec.Config.ConfigID) < 0 || msg.ConfigID == rec.Config.ConfigID && rec.Config.Has(m.id) ||
		!m.addresses.Newest(msg.From, msg.Seq) {
		return nil
	}
	if m.leaving.outAt == 0 {
		m.leaving.outAt = m.host.Now()
	}
	return m.progressLeave(m.host.Now())
}

// votesElsewhere reports whether another election still counts on this agent.
func (m *Member) votesElsewhere() bool {
	return slices.ContainsFunc(m.elections[1:], func(e *Election) bool {
		config := e.node.Record().Config
		return config.Has(m.id)
	})
}

// depart marks the disk, tells the other agents by gossip, and ends the life.
func (m *Member) depart(done func(error)) error {
	m.retractAll(SteppedDown)
	st := m.state
	st.Left = true
	if err := m.save(st); err != nil {
		done(err)
		return err
	}
	m.stop = stopping{started: true, done: true}
	m.gone = true
	done(nil)      // gossip takes a while, and nothing depends on it
	m.tellGossip() // that it has left
	return nil
}

// forgetLeavers drops requests that were not repeated.
func (m *Member) forgetLeavers(now time.Duration) {
	for id, at := range m.leaveAsked {
		if now-at >= leaveFresh {
			delete(m.leaveAsked, id)
		}
	}
}

// wantsOut reports whether an agent has asked to leave lately.
func (m *Member) wantsOut(id election.ID, now time.Duration) bool {
	at, ok := m.leaveAsked[id]
	return ok && now-at < leaveFresh
}
