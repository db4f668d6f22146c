package agent

import (
	"context"
	"errors"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

const (
	// idleWake bounds how long the loop sleeps, with half a lease, so that
	// /healthz can tell a hung loop from one with nothing to do.
	idleWake = 250 * time.Millisecond
	// readGrace is what a loop that woke late gives the reading goroutine to
	// fetch what waits in the socket, before it judges a timeout (rule 17).
	readGrace = 5 * time.Millisecond
	// clockTries bounds the tries to read two clocks at one moment, and
	// clockApart is how long such a reading may take to be believed.
	clockTries = 3
	clockApart = 2 * time.Millisecond
	// slept is how far the boot clock must run ahead of the monotonic one
	// between two turns to count as a suspend (rule 17).
	slept = 20 * time.Millisecond
)

// errDead ends a life by simulated death.
var errDead = errors.New("simulated death")

// loop is the one goroutine that owns the election. It ends when the life does.
func (l *life) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.aborted:
			l.silenceAll(stopStopped)
			return nil
		case <-ctx.Done():
			ctx = context.Background() // told once; the loop ends when the hand-over has
			if !l.leaving.started {
				l.endLife(stopStopped)
			}
		case a := <-l.inbox.frames:
			if err := l.receive(a); err != nil {
				return err
			}
		case <-l.gossip.Updates():
			l.membersChanged()
		case h := <-l.pinged:
			if err := l.nameTaken(h); err != nil {
				return err
			}
		case run := <-l.commands:
			if err := run(l); err != nil {
				return err
			}
		case <-timer.C:
		}
		done, err := l.turn()
		if err == nil {
			err = l.flush()
		}
		if done && l.moved && err == nil {
			return errMoved
		}
		if done || err != nil {
			return err
		}
		l.lastTurn.Store(int64(l.now()))
		timer.Reset(l.sleep())
	}
}

// turn does what time asks for. It first drains the inbox, so that a loop that
// woke late does not judge a timeout by what it has not read yet (rule 17).
func (l *life) turn() (done bool, err error) {
	for range len(l.inbox.frames) {
		if err := l.receive(<-l.inbox.frames); err != nil {
			return false, err
		}
	}
	now := l.now()
	l.checkClocks()
	late := now >= l.restAt
	if late {
		for _, c := range l.contests {
			if c.due(now) {
				c.stepAt(now, election.Tick{})
			}
		}
	}
	if now >= l.choresAt {
		if err := l.chores(now); err != nil {
			return false, err
		}
	}
	l.progressStop(l.now())
	if late {
		now = l.now()
		l.restAt = now + idleWake
		for _, c := range l.contests {
			if c.lapseAt > 0 && now >= c.lapseAt { // time alone has changed what readers see
				c.publish(now)
			}
			l.restAt = c.restUntil(now, l.restAt)
		}
	}
	return l.leaving.done, nil
}

// sleep gives how long the loop may rest.
func (l *life) sleep() time.Duration {
	now := l.now()
	at := now + min(idleWake, l.cfg.Lease/2)
	at = min(at, l.choresAt, l.restAt)
	at = l.outbox.restUntil(at)
	if l.leaving.started && l.leaving.until > now {
		at = min(at, l.leaving.until)
	}
	return max(at-now, 0)
}

// checkClocks drops the lease when the machine slept (rule 17).
func (l *life) checkClocks() {
	ahead, ok := l.clocksApart()
	if !ok {
		return // too busy a moment to tell: the next turn looks again
	}
	jump := ahead - l.ahead
	l.ahead = ahead
	if jump < slept || l.node == nil {
		return
	}
	l.log.Warn("the machine slept; the lease is dropped and earned anew", "for", jump, "clock", boottime.Name)
	for _, c := range l.contests {
		c.step(election.ClockJump{})
	}
}

// clocksApart gives by how much the boot clock is ahead of the monotonic one.
// A pause between the two readings must not look like a suspend.
func (l *life) clocksApart() (ahead time.Duration, ok bool) {
	for range clockTries {
		before := l.monotonic()
		boot := l.now()
		if after := l.monotonic(); after-before < clockApart {
			return boot - after, true
		}
	}
	return 0, false
}

// receive handles one datagram and gives its frame back.
func (l *life) receive(a *arrival) error {
	defer l.inbox.free.Put(a)
	if v, before := l.book.Admit(a.From, a.Start, a.Life, a.Seq, a.from); v != believed {
		l.counts.of("dropped_identity").Add(1)
		switch v {
		case isStale:
			l.problem(staleText(l.nameOf(a.From), a.From, a.from, a.Start, before.start))
		case isClone:
			l.problem(cloneText(l.nameOf(a.From), a.From, before.from, a.from))
		}
		return nil
	}
	l.saw(a.From)
	if a.Founding.Kind != 0 {
		if err := l.receiveFounding(a); err != nil {
			return err
		}
	}
	if a.Probe.Word != 0 {
		l.receiveProbe(a)
	}
	if len(a.Messages) == 0 && !a.Packed() {
		return nil
	}
	if a.FlockID != l.flockID() {
		if err := l.obeyFounding(a); err != nil {
			return err
		}
		if a.FlockID != l.flockID() {
			l.counts.of("dropped_flock").Add(1)
			l.foreignFlock(a)
			return nil
		}
	}
	l.frameAt = l.now()
	return a.Each(l.receiveMessage)
}

func (l *life) receiveMessage(m *wire.Message) error {
	switch {
	case m.Election != 0:
		// One that has not begun here, or one of before a recovery, when numbers meant others.
		if c := l.contestOf(m.Election); c == nil || c.node.Generation() != m.Generation {
			l.counts.of("dropped_election").Add(1)
		} else {
			c.stepAt(l.frameAt, &m.Message)
			c.endHeadStart(l.frameAt)
		}
		return nil
	case m.Kind == election.Leave:
		l.receiveLeave(&m.Message)
		return nil
	case m.Kind == election.LeaveReply:
		return l.receiveLeaveReply(&m.Message)
	case l.node == nil:
		return nil
	}
	l.paths.received(&m.Message)
	l.sighted.answered(&m.Message)
	if l.unknownTable(&m.Config, m.From) {
		m.Config = election.Config{}
	}
	l.stepAt(l.frameAt, &m.Message)
	return nil
}
