package sim

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// These are package agent's.
	choresEvery = 200 * time.Millisecond
	slept       = 20 * time.Millisecond
	readGrace   = 5 * time.Millisecond
	unfitEvery  = 10 * time.Second
	forceFor    = 10 * time.Second
)

// take lets the loop have one datagram, and one turn.
func (l *life) take(f *flight) error {
	if err := l.receive(f); err != nil {
		return err
	}
	return l.turn()
}

// turn does what time asks for, after draining the inbox (rule 17).
func (l *life) turn() error {
	for len(l.inbox) > 0 || len(l.tells) > 0 {
		inbox, tells := l.inbox, l.tells
		l.inbox, l.tells = nil, nil
		for i, f := range inbox {
			err := l.receive(f)
			l.sim.net.done(f)
			if err != nil {
				l.inbox = inbox[i+1:]
				return err
			}
		}
		for _, tell := range tells {
			if err := tell(); err != nil {
				return err
			}
		}
	}
	now := l.now()
	if err := l.checkClocks(); err != nil {
		return err
	}
	if l.due(now) {
		if err := l.step(election.Tick{}); err != nil {
			return err
		}
	}
	if now >= l.choresAt {
		if err := l.chores(now); err != nil {
			return err
		}
	}
	if err := l.progressStop(l.now()); err != nil {
		return err
	}
	l.arm()
	return nil
}

// due tells whether the node's timeout is to be judged now. A loop that woke
// late first gives its reader a moment.
func (l *life) due(now time.Duration) bool {
	switch {
	case l.node == nil || l.wakeAt == 0 || now < l.wakeAt:
		l.judgeAt = 0
		return false
	case l.judgeAt == 0 && now-l.wakeAt >= l.timing.Heartbeat:
		l.judgeAt = now + readGrace
		return false
	case now < l.judgeAt:
		return false
	}
	l.judgeAt = 0
	return true
}

// checkClocks drops the lease when the machine slept (rule 17).
func (l *life) checkClocks() error {
	jump := l.clock.slept - l.ahead
	l.ahead = l.clock.slept
	if jump < slept || l.node == nil {
		return nil
	}
	return l.step(election.ClockJump{})
}

// arm sets the timer for what is next. One that is set for earlier serves too.
func (l *life) arm() {
	s := l.sim
	if !s.live(l) {
		return
	}
	at := l.choresAt
	if l.node != nil && l.wakeAt > 0 {
		at = min(at, max(l.wakeAt, l.judgeAt))
	}
	if l.stopping.started {
		at = min(at, l.stopping.until)
	}
	t := max(l.clock.at(s.now, at), s.now+1, l.busyUntil)
	if l.timerAt != 0 && l.timerAt <= t && l.timerAt > s.now {
		return
	}
	l.timerAt = t
	s.queue.push(occurrence{at: t, what: onTimer, agent: l.agent, life: l.number})
}

// wake is the timer's.
func (l *life) wake() error {
	s := l.sim
	if l.timerAt > s.now {
		return nil // another was set in its place
	}
	l.timerAt = 0
	if l.stopped {
		return nil // turn comes on resuming
	}
	return l.turn()
}

// sleepless tells whether a slow disk still holds the loop; the timer comes later.
func (l *life) sleepless(now time.Duration) bool {
	if now >= l.busyUntil {
		return false
	}
	l.timerAt = 0
	l.arm()
	return true
}

// step tells the node one thing and carries out what follows.
func (l *life) step(in election.Input) error {
	if l.sim.bugs.ignores(in) {
		l.fx.Err = nil
		return nil
	}
	now := l.now()
	l.node.Step(now, in, &l.fx)
	return l.perform()
}

// receive handles one datagram, as agent.receive does. A datagram carries a
// word of a founding or one message of the election.
func (l *life) receive(f *flight) error {
	m := &f.m
	if m.To != l.id || !l.admit(f) {
		return nil
	}
	l.sim.heard(l, f)
	if f.word != nil {
		return l.receiveWord(m.From, f.word)
	}
	if m.FlockID != l.flockID() {
		if l.node != nil || l.founding == nil || m.FlockID.IsZero() || !l.founding.Obeys(m.FlockID) {
			return nil
		}
		if err := l.takePart(election.Record{FlockID: m.FlockID}, l.store.Fresh()); err != nil {
			return err
		}
	}
	switch {
	case m.Kind == election.Leave:
		return l.receiveLeave(m)
	case m.Kind == election.LeaveReply:
		return l.receiveLeaveReply(m)
	case l.node == nil:
		return nil
	}
	l.sim.bugs.receives(l, m)
	return l.step(m)
}

// admit learns where an agent is, and tells whether to believe the datagram (rule 10).
func (l *life) admit(f *flight) bool {
	m := &f.m
	p, known := l.book[m.From]
	switch {
	case known && m.Start < p.start:
		return false
	case !known || m.Start > p.start:
		l.book[m.From] = page{addr: f.fromAddr, start: m.Start, life: m.Life, seq: m.Seq}
	case m.Seq > p.seq:
		p.seq, p.life = m.Seq, m.Life
		if f.fromAddr != p.left { // what is late from where it was does not move it back
			p.addr = f.fromAddr
		}
		l.book[m.From] = p
	}
	return true
}

// chores is what no message or timer of the node brings up.
func (l *life) chores(now time.Duration) error {
	l.choresAt = now + choresEvery
	if err := l.seek(now); err != nil {
		return err
	}
	if l.node == nil {
		return nil
	}
	l.spread()
	if err := l.progressLeave(now); err != nil {
		return err
	}
	if err := l.steerVoters(now); err != nil {
		return err
	}
	rec := l.node.Record()
	l.forced = slices.DeleteFunc(l.forced, func(f forced) bool {
		out := !rec.Config.Has(f.id)
		return out && l.node.Committed() || l.node.Role() != election.Leader || now >= f.until || !out && l.view(f.id).state == alivePeer
	})
	return nil
}
