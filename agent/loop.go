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
	// idleWake bounds how long the loop sleeps, so that /healthz can tell a
	// hung loop from one with nothing to do.
	idleWake = 250 * time.Millisecond
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
		case <-ctx.Done():
			if !l.leaving.started {
				l.beginStop()
			}
			ctx = context.Background() // told once; the loop ends when the hand-over has
		case a := <-l.inbox.frames:
			if err := l.receive(a); err != nil {
				return err
			}
		case <-l.gossip.Updates():
			if err := l.membersChanged(); err != nil {
				return err
			}
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
	if err := l.checkClocks(now); err != nil {
		return false, err
	}
	if l.node != nil && l.wakeAt > 0 && now >= l.wakeAt {
		if err := l.step(election.Tick{}); err != nil {
			return false, err
		}
	}
	if now >= l.choresAt {
		if err := l.chores(now); err != nil {
			return false, err
		}
	}
	if err := l.progressStop(l.now()); err != nil {
		return false, err
	}
	if l.lapsed() {
		l.publish(l.now())
	}
	return l.leaving.done, nil
}

// sleep gives how long the loop may rest.
func (l *life) sleep() time.Duration {
	now := l.now()
	at := now + idleWake
	if l.node != nil && l.wakeAt > 0 {
		at = min(at, l.wakeAt)
	}
	at = min(at, l.choresAt)
	if l.leaving.started && l.leaving.until > now {
		at = min(at, l.leaving.until)
	}
	if l.lapseAt > now {
		at = min(at, l.lapseAt)
	}
	return max(at-now, 0)
}

// checkClocks drops the lease when the machine slept (rule 17).
func (l *life) checkClocks(now time.Duration) error {
	ahead := now - l.monotonic()
	jump := ahead - l.ahead
	l.ahead = ahead
	if jump < slept || l.node == nil {
		return nil
	}
	l.log.Warn("the machine slept; the lease is dropped and earned anew", "for", jump, "clock", boottime.Name)
	return l.step(election.ClockJump{})
}

// step tells the node one thing and carries out what follows.
func (l *life) step(in election.Input) error {
	now := l.now()
	l.node.Step(now, in, &l.fx)
	return l.perform(now)
}

// receive handles one datagram and gives its frame back.
func (l *life) receive(a *arrival) error {
	defer l.inbox.free.Put(a)
	ok, problem := l.book.Admit(a.From, a.Start, a.Life, a.Seq, a.from)
	if problem != "" {
		l.problem(problem)
	}
	if !ok {
		l.counts.of("dropped_identity").Add(1)
		return nil
	}
	if a.Founding.Kind != 0 {
		if err := l.receiveFounding(a); err != nil {
			return err
		}
	}
	if len(a.Messages) == 0 {
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
	for i := range a.Messages {
		if err := l.receiveMessage(&a.Messages[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) receiveMessage(m *wire.Message) error {
	switch {
	case m.Election != 0:
		l.counts.of("dropped_election").Add(1)
		return nil
	case m.Kind == election.Leave:
		return l.receiveLeave(&m.Message)
	case m.Kind == election.LeaveReply:
		return l.receiveLeaveReply(&m.Message)
	case l.node == nil:
		return nil
	}
	return l.step(&m.Message)
}
