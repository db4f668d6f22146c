package sim

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/check"
)

// grace is package agent's Config.Grace.
const grace = 5 * time.Second

// handover is a planned end of being the goose, as package agent's.
type handover struct {
	to       election.ID
	stop     bool
	raiseTo  uint64
	grace    time.Duration
	given    time.Duration
	resigned bool
	done     func()
}

// stopping is the end of a life by its own will.
type stopping struct {
	started, done bool
	until         time.Duration
	backIn        time.Duration
}

func (l *life) beginHandover(h handover) error {
	if l.handing != nil {
		return nil
	}
	h.grace = l.now() + grace
	l.handing = &h
	l.stopWork()
	return l.progressHandover(l.now())
}

func (l *life) progressHandover(now time.Duration) error {
	h := l.handing
	if h == nil {
		return nil
	}
	if h.given == 0 {
		leads := l.node.Role() == election.Leader
		if l.working() > 0 && now < h.grace && leads {
			return nil
		}
		h.given = now
		if err := l.tellHolders(); err != nil || !leads {
			return err
		}
		var in election.Input = election.StepDown{To: h.to, Stop: h.stop}
		if h.raiseTo != 0 {
			in = election.RaiseTerm{Term: h.raiseTo}
		}
		if err := l.step(in); err != nil {
			return err
		}
		if l.fx.Err != nil {
			return l.endHandover()
		}
		l.sim.note(l.agent, noteGivesUp, 0, 0)
	}
	if l.node.Role() != election.Leader || !l.node.HandingOver() {
		switch id, _, heardAt := l.node.Heard(); {
		case h.raiseTo != 0 && l.node.Role() == election.Leader,
			id != l.id && !id.IsZero() && heardAt > h.given, h.resigned:
			return l.endHandover()
		}
	}
	if now >= max(h.given, l.node.HandedTo())+2*l.timing.Lease {
		return l.endHandover()
	}
	return nil
}

func (l *life) endHandover() error {
	h := l.handing
	l.handing = nil
	if h.done != nil {
		h.done()
	}
	return l.syncHolders()
}

// stepDown is the command, which first tries on a copy. It tells whether a
// hand-over has begun.
func (l *life) stepDown(to election.ID) (bool, error) {
	if l.node == nil || l.node.Role() != election.Leader || l.handing != nil {
		return false, nil
	}
	trial := *l.node
	var fx election.Effects
	trial.Step(l.now(), election.StepDown{To: to}, &fx)
	if fx.Err != nil {
		return false, nil
	}
	return true, l.beginHandover(handover{to: to})
}

// stop is a SIGTERM.
func (l *life) stop(backIn time.Duration) error {
	if l.stopping.started {
		return nil
	}
	l.stopping = stopping{started: true, until: l.now() + grace + 4*l.timing.Lease, backIn: backIn}
	l.stopWork()
	if l.node == nil || l.node.Role() != election.Leader {
		l.stopping.done = true
		return nil
	}
	ended := func() { l.stopping.done = true }
	if h := l.handing; h != nil && (h.raiseTo == 0 || h.given != 0) {
		h.stop, h.done = true, ended
		return nil
	}
	l.handing = nil
	return l.beginHandover(handover{stop: true, done: ended})
}

func (l *life) progressStop(now time.Duration) error {
	if err := l.progressHandover(now); err != nil {
		return err
	}
	if l.stopping.started && now >= l.stopping.until {
		l.stopping.done = true
	}
	return nil
}

const (
	leaveEvery   = 100 * time.Millisecond
	leaveRetry   = time.Second
	leaveFresh   = 2 * time.Second
	leaveSpreads = 30 * time.Second
)

// leave begins to leave the flock, if package agent would not refuse.
func (l *life) leave() (bool, error) {
	if l.leaves || l.stopping.started || l.node == nil || l.node.Record().Config.N == 0 || !l.mayLeave() {
		return false, nil
	}
	l.leaves = true
	return true, l.progressLeave(l.now())
}

func (l *life) mayLeave() bool {
	alive, live := 0, 0
	c := l.node.Record().Config
	for i := range l.views {
		v := &l.views[i]
		if v.state != alivePeer {
			continue
		}
		alive++
		if v.id != l.id && c.Has(v.id) {
			live++
		}
	}
	if rest := c.Without(l.id); alive <= 1 || c.Has(l.id) && rest.N > 0 && live < rest.Quorum() {
		return false
	}
	goose := l.knownGoose()
	return !c.Has(l.id) || !goose.IsZero() && (goose != l.id || l.hasHeir(c))
}

func (l *life) hasHeir(c election.Config) bool {
	if c.N > 1 {
		return !l.node.Successor(l.now()).IsZero()
	}
	return slices.ContainsFunc(l.views, func(v view) bool {
		return v.id != l.id && v.state == alivePeer && !v.meta.observer && v.meta.priority > 0
	})
}

// knownGoose gives the goose as readers see it, itself included.
func (l *life) knownGoose() election.ID {
	now := l.now()
	if lease := l.node.Lease(); lease.Token != 0 && lease.Until > now {
		return l.id
	}
	if id, _, heardAt := l.node.Heard(); heardAt != 0 && now < heardAt+l.timing.Lease && id != l.id {
		return id
	}
	return election.ID{}
}

func (l *life) progressLeave(now time.Duration) error {
	if !l.leaves || now < l.askAt || l.stopping.done {
		return nil
	}
	l.askAt = now + leaveEvery
	switch goose := l.knownGoose(); {
	case goose == l.id && l.handing == nil && !l.node.Successor(now).IsZero():
		l.askAt = now + leaveRetry<<min(l.leaveTries, 4) // one that fails must not change the goose again and again
		l.leaveTries++
		return l.beginHandover(handover{})
	case goose == l.id:
		l.leaveAsked[l.id] = now
	case !goose.IsZero():
		rec := l.node.Record()
		l.sendElection(&election.Message{Kind: election.Leave, Header: headerOf(&rec, goose)})
	}
	return nil
}

func headerOf(rec *election.Record, to election.ID) election.Header {
	return election.Header{FlockID: rec.FlockID, Generation: rec.Generation, To: to, Term: rec.Term, ConfigID: rec.Config.ConfigID}
}

func (l *life) receiveLeave(m *election.Message) error {
	if l.node == nil || l.node.Role() != election.Leader {
		return nil
	}
	l.leaveAsked[m.From] = l.now()
	rec := l.node.Record()
	if rec.Config.Has(m.From) || !l.node.Committed() {
		l.choresAt = 0
		return nil
	}
	l.leaveAsked[m.From] = l.now() + leaveSpreads
	l.sendElection(&election.Message{Kind: election.LeaveReply, Granted: true, Header: headerOf(&rec, m.From)})
	return nil
}

// receiveLeaveReply ends a leaving: the removal is committed.
func (l *life) receiveLeaveReply(m *election.Message) error {
	if !l.leaves || !m.Granted || l.stopping.done {
		return nil
	}
	if l.board.Token != 0 {
		l.board = election.Lease{}
		l.tellReaders(check.Event{Kind: check.Retracted})
	}
	l.stopWork()
	st := l.store.State()
	st.Left = true
	if err := l.saveState(st); err != nil {
		return err
	}
	l.stopping.started, l.stopping.done = true, true
	return nil
}

// wantsOut tells who has asked to leave lately.
func (l *life) wantsOut(id election.ID) bool {
	at, ok := l.leaveAsked[id]
	return ok && l.now()-at < leaveFresh
}
