package run

import (
	"time"

	"duckduckgoose/agent/api"
)

const (
	// mostSooner bounds the part of a lease by which work is asked to end sooner than
	// usual: what is left must bear lost heartbeats.
	mostSooner = 0.25
	// hurryLeft is the part of a lease between SIGTERM and SIGKILL at the least. It
	// gives way first: a lease that is renewed after all needs the time more.
	hurryLeft = 0.10
)

// shift is how much sooner than usual work is asked to end.
func (l *lateness) shift(length time.Duration) time.Duration {
	return min(max(0, l.sooner(length)-share(length, termLeft-killLeft-hurryLeft)), share(length, mostSooner))
}

// hasty is a session whose deadlines come sooner.
type hasty struct {
	*echoed
	guard *guard
}

func (h hasty) Next() (api.LeadEvent, bool) {
	e, ok := h.echoed.Next()
	if w := e.Waiting; w != nil && w.PID != 0 {
		if guard, ok := look(w.PID); ok { // people know the run that started it
			e.Waiting = &api.Waiting{Here: w.Here, PID: guard.parent}
		}
	}
	if e.Until != 0 {
		length := time.Duration(e.Lease)
		h.guard.graves.look()
		e.Until -= int64(h.guard.late.shift(length))
		if r, ok := h.guard.actor.(renewer); ok {
			r.renew(time.Duration(e.Until))
		}
	}
	return e, ok
}
