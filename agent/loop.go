package agent

import (
	"context"
	"errors"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/inbox"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/port"
)

const (
	// clockTries bounds the attempts to read two clocks at the same moment. A reading
	// counts if it took at most clockApart.
	clockTries = 3
	clockApart = 2 * time.Millisecond
	// slept is how far the boot clock must gain on the monotonic clock between two
	// turns to count as a suspend (rule 17).
	slept = 20 * time.Millisecond
)

// errDead ends a life by simulated death.
var errDead = errors.New("simulated death")

// loop is the one goroutine that owns the member. It ends when the life does.
func (l *life) loop(ctx context.Context) error {
	rings, wakeAfter := port.Alarm(l.net)
	wakeAfter(0)
	for {
		var first *inbox.Arrival
		select {
		case <-l.aborted:
			l.member.Silence(member.Stopped)
			return nil
		case <-ctx.Done():
			ctx = context.Background() // stop once; the loop ends after the hand-over
			l.endsAll(api.EndedStepDown, "this agent stops")
			l.member.Stop(member.Stopped)
		case first = <-l.inbox.Waiting():
		case <-l.gossip.Updates():
			l.membersChanged()
		case h := <-l.name.pinged:
			if err := l.nameTaken(h); err != nil {
				return err
			}
		case run := <-l.commands:
			select {
			case <-l.gossip.Updates(): // the sender of the next command may have seen the change in the list of members
				l.membersChanged()
			default:
			}
			if err := run(l); err != nil {
				return err
			}
		case <-rings:
		}
		select {
		case <-rings: // one turn serves the alarm and what came with it
		default:
		}
		done, err := l.turn(first)
		if done && l.address.moved && err == nil {
			return errMoved
		}
		if done || err != nil {
			return err
		}
		now := max(l.readAt, l.ahead+l.monotonic()) // costs no system call; a sleep since checkClocks is left to the next turn
		l.gossipIfDue(now)
		l.lastTurn.Store(int64(now))
		wakeAfter(l.sleep(now))
	}
}

// turn has the member act. It first drains the inbox, so that a loop that woke late
// does not time out on a datagram that is waiting to be read (rule 17). One reading of the
// clock serves all of it: it follows the count of the datagrams, so each of them arrived
// before (see member.Receive).
func (l *life) turn(first *inbox.Arrival) (done bool, err error) {
	waiting := len(l.inbox.Waiting())
	now := l.checkClocks()
	if first != nil {
		err = l.receive(now, first)
	}
	for ; waiting > 0 && err == nil; waiting-- {
		err = l.receive(now, <-l.inbox.Waiting())
	}
	if err != nil {
		return false, err
	}
	done, err = l.member.Turn(now)
	if looks := l.member.Looks(); looks != l.looks && !done && err == nil {
		l.looks = looks
		l.tend(l.now())
	}
	return done, err
}

// tend checks the agent's name and address, and refreshes the warnings and what readers
// see.
func (l *life) tend(now time.Duration) {
	l.mindWill()
	l.checkName(now)
	l.checkAddress(now)
	l.survey(now)
	l.refreshWarnings(now)
	l.endPeerWindow(now)
	for _, e := range l.member.Elections() {
		at := e.Local().(*local)
		if !e.Calm(now) {
			at.tellGooseless(now)
		}
		at.tellHistory(now)
	}
	l.showMembers()
	l.postMeters(now)
	l.tellBusy()
	l.member.Republish(now, l.republished != l.warnings.besides)
	l.republished = l.warnings.besides
}

// sleep returns how long the loop may sleep. In a working flock each heartbeat makes a
// turn, so the loop needs no wake-up of its own for tend and gossip: it waits for one that is late.
func (l *life) sleep(now time.Duration) time.Duration {
	at := min(l.member.WakeAt(l.cfg.Heartbeat*3/2), now+l.cfg.Lease/2, l.gossipAt+gossip.RoundEvery)
	return max(at-now, 0)
}

// gossipIfDue has a round of gossip begin when one is due.
func (l *life) gossipIfDue(now time.Duration) {
	if now < l.gossipAt {
		return
	}
	l.gossip.Round()
	if l.gossipAt += gossip.RoundEvery; l.gossipAt <= now {
		l.gossipAt = now + gossip.RoundEvery
	}
}

// checkClocks drops the lease if the machine slept (rule 17), and returns the time.
func (l *life) checkClocks() (now time.Duration) {
	now, ahead, ok := l.clocksApart()
	l.readAt = now
	if !ok {
		return now // the machine was too busy to tell: the next turn checks again
	}
	jump := ahead - l.ahead
	l.ahead = ahead
	if jump < slept || l.node() == nil {
		return now
	}
	l.log.Warn("the machine slept; the lease is dropped and must be renewed", "for", jump, "clock", boottime.Name)
	l.member.Slept()
	return now
}

// clocksApart reads the boot clock and by how much it is ahead of the monotonic one. ok
// is false if the process paused between the readings, which looks like a suspend.
func (l *life) clocksApart() (boot, ahead time.Duration, ok bool) {
	for range clockTries {
		before := l.monotonic()
		boot = l.now()
		if after := l.monotonic(); after-before < clockApart {
			return boot, boot - after, true
		}
	}
	return boot, 0, false
}

// receive handles one datagram and frees it.
func (l *life) receive(now time.Duration, a *inbox.Arrival) error {
	defer l.inbox.Free(a)
	believed, err := l.member.Receive(now, &a.Frame, a.Source)
	if believed && a.Probe.Word != 0 {
		l.prober.Receive(&a.Frame)
	}
	return err
}
