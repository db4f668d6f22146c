package agent

import (
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

const (
	// leaveEvery spaces a leaver's requests.
	leaveEvery = 100 * time.Millisecond
	// leaveRetry is when a goose that leaves first tries to hand over again.
	leaveRetry = time.Second
	// leaveFresh is how long the goose acts on a request that is not repeated.
	leaveFresh = 2 * time.Second
	// leaveSpreads is how long gossip may take to tell that a leaver is gone.
	leaveSpreads = 30 * time.Second
	// leaveElections is how long a leaver waits until it votes in no election any more.
	leaveElections = 10 * time.Second
)

// departure is this agent's own leaving: out of the voters first, then out of
// the flock (DESIGN: removal committed before the agent is gone).
type departure struct {
	askAt time.Duration
	// outAt is when the goose said that this agent is no voter any more; 0: not
	// yet. The other elections follow, and have their time.
	outAt time.Duration
	tries int // hand-overs so far
	done  func(error)
}

// beginLeave starts to leave. With force the agent goes at once, whatever
// that costs the flock.
func (l *life) beginLeave(force bool, done func(error)) error {
	if l.departure != nil {
		done(api.Conflict("this agent is leaving already"))
		return nil
	}
	if force || l.node == nil || l.node.Record().Config.N == 0 {
		return l.departed(done)
	}
	if err := l.mayLeave(); err != nil {
		done(err)
		return nil
	}
	l.departure = &departure{done: done}
	return l.progressLeave(l.now())
}

// mayLeave refuses what would end the flock, or cost it its majority (P8).
func (l *life) mayLeave() error {
	if l.alive <= 1 {
		return api.Conflict("this is the last live agent: leaving ends the flock (ddgoose leave --force does it all the same)")
	}
	goose, self := l.knownGoose()
	if goose.IsZero() {
		return api.NoMajority("there is no goose to take this agent out of the voters (--force leaves all the same)")
	}
	c := l.node.Record().Config
	if !c.Has(l.id) {
		return nil
	}
	if self && !l.hasHeir(c) {
		return api.Conflict("no other agent can be the goose: start one that is no witness and no observer, or wait until it answers (--force leaves all the same)")
	}
	live := 0
	for _, v := range c.Members() {
		if v.ID != l.id && l.isAlive(v.ID) {
			live++
		}
	}
	if rest := c.Without(l.id); rest.N > 0 && live < rest.Quorum() {
		return api.NoMajority("only %d of the %d voters that would be left are alive: leaving costs the flock its majority (--force leaves all the same)", live, rest.N)
	}
	return nil
}

// hasHeir tells whether another agent can take over, as a voter or once the
// sole voter has made it one.
func (l *life) hasHeir(c election.Config) bool {
	if c.N > 1 {
		return !l.node.Successor(l.now()).IsZero()
	}
	return slices.ContainsFunc(l.peers, func(p peer) bool {
		return p.ID != l.id && p.State == api.StateAlive && !p.Meta.Observer && p.Meta.Priority > 0
	})
}

// progressLeave moves the leaving along: a goose hands over first, a duck asks
// the goose until it answers.
func (l *life) progressLeave(now time.Duration) error {
	d := l.departure
	if d != nil && d.outAt != 0 {
		if l.votesElsewhere() && now < d.outAt+leaveElections {
			return nil
		}
		l.departure = nil
		return l.departed(d.done)
	}
	if d == nil || now < d.askAt {
		return nil
	}
	d.askAt = now + leaveEvery
	goose, self := l.knownGoose()
	switch {
	case self && l.handing == nil && !l.node.Successor(now).IsZero():
		d.askAt = now + leaveRetry<<min(d.tries, 4) // one that fails must not change the goose again and again
		d.tries++
		l.beginHandover(handover{cause: stopSteppedDown, done: func(string, error) {}})
	case self:
		l.leaveAsked[l.id] = now // a sole voter: the autopilot adds a successor first
	case !goose.IsZero():
		l.sendElection(&election.Message{
			Kind: election.Leave,
			Header: election.Header{
				FlockID: l.flockID(), Generation: l.node.Record().Generation, To: goose,
				Term: l.node.Record().Term, ConfigID: l.node.Record().Config.ConfigID,
			},
		})
	}
	return nil
}

// receiveLeave books a leaver's wish, and answers once it is no voter any
// more and a majority of the others knows.
func (l *life) receiveLeave(m *election.Message) {
	if l.node == nil || l.node.Role() != election.Leader {
		return
	}
	l.leaveAsked[m.From] = l.now()
	rec := l.node.Record()
	if rec.Config.Has(m.From) || !l.node.Committed() {
		l.choresAt = 0
		return
	}
	l.leaveAsked[m.From] = l.now() + leaveSpreads
	l.sendElection(&election.Message{
		Kind: election.LeaveReply, Granted: true,
		Header: election.Header{
			FlockID: rec.FlockID, Generation: rec.Generation, To: m.From, Term: rec.Term, ConfigID: rec.Config.ConfigID,
		},
	})
}

// receiveLeaveReply ends a leaving: the removal is committed. It must be the
// newest word of the goose of now: an answer to an earlier leave, late or
// repeated, would let a voter go that is one still.
func (l *life) receiveLeaveReply(m *election.Message) error {
	if l.departure == nil || !m.Granted || l.node == nil {
		return nil
	}
	rec := l.node.Record()
	goose, _ := l.knownGoose()
	if goose != m.From || m.Generation != rec.Generation || m.Term < rec.Term ||
		m.ConfigID.Compare(rec.Config.ConfigID) < 0 || m.ConfigID == rec.Config.ConfigID && rec.Config.Has(l.id) ||
		!l.book.Newest(m.From, m.Seq) {
		return nil
	}
	if l.departure.outAt == 0 {
		l.departure.outAt = l.now()
	}
	return l.progressLeave(l.now())
}

// votesElsewhere tells whether another election still counts on this agent.
func (l *life) votesElsewhere() bool {
	return slices.ContainsFunc(l.contests[1:], func(c *contest) bool {
		config := c.node.Record().Config
		return config.Has(l.id)
	})
}

// departed marks the disk, tells the others by gossip, and ends the life.
func (l *life) departed(done func(error)) error {
	l.silenceAll(stopSteppedDown)
	st := l.disk.State()
	st.Left = true
	if err := l.saveState(st); err != nil {
		done(err)
		return err
	}
	l.leaving = stopping{started: true, done: true}
	done(nil) // the rest is courtesy, and takes gossip a while
	l.gossip.Leave(leaveFresh)
	return nil
}

// forgetLeavers drops requests that count no more.
func (l *life) forgetLeavers(now time.Duration) {
	for id, at := range l.leaveAsked {
		if now-at >= leaveFresh {
			delete(l.leaveAsked, id)
		}
	}
}

// wantsOut tells who has asked to leave lately.
func (l *life) wantsOut(id election.ID) bool {
	at, ok := l.leaveAsked[id]
	return ok && l.now()-at < leaveFresh
}
