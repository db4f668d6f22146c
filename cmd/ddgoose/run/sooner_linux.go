package run

import (
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

const (
	// mostSooner bounds how much sooner than usual work is told to end, as a part of a lease:
	// the rest must be long enough for some lost heartbeats.
	mostSooner = 0.25
	// hurryLeft is the least time between SIGTERM and SIGKILL, as a part of a lease. This time
	// is shortened before the time until SIGTERM, because the lease may still be renewed.
	hurryLeft = 0.10
)

// shift returns how much sooner than usual work is told to end.
func (l *lateness) shift(length time.Duration) time.Duration {
	return min(max(0, l.sooner(length)-share(length, termLeft-killLeft-hurryLeft)), share(length, mostSooner))
}

// whySooner says how much sooner than usual work is killed, if that is much: a person should not look
// for a fault of the goose.
func (l *lateness) whySooner(length time.Duration) string {
	sooner := l.sooner(length)
	if sooner < share(length, hurryLeft) {
		return ""
	}
	return fmt.Sprintf(", %v sooner than usual: this machine is busy, or much must be killed", sooner.Round(time.Millisecond))
}

// earlySession is a session that moves its deadlines forward.
type earlySession struct {
	*echoed
	guard *guard
}

func (s earlySession) Next() (api.LeadEvent, bool) {
	e, ok := s.echoed.Next()
	if w := e.Waiting; w != nil && w.PID != 0 {
		if guard, ok := look(w.PID); ok { // people know run's process id, not the guard's
			e.Waiting = &api.Waiting{Here: w.Here, PID: guard.parent}
		}
	}
	if e.Until != 0 {
		length := time.Duration(e.Lease)
		s.guard.kills.look()
		e.Until -= int64(s.guard.late.shift(length))
		if r, ok := s.guard.actor.(renewer); ok {
			r.renew(time.Duration(e.Until))
		}
	}
	return e, ok
}
