package lead

import (
	"time"

	"duckduckgoose/agent/api"
)

// Option changes how long Lead waits, and what happens after work.
type Option func(*options)

type options struct {
	bounded bool // by try
	try     time.Duration
	then    api.Then // after work, when Lead ends
	onWait  func(api.Waiting)
}

func optionsOf(all []Option) options {
	o := options{then: api.ThenStepDown, onWait: func(api.Waiting) {}}
	for _, set := range all {
		set(&o)
	}
	return o
}

// Try makes Lead give up with ErrNotGoose after waiting this long to become the goose:
// at the start, and after each period that ended before work did. 0: call work only if
// this agent is the goose now, and only once. An agent that does not answer at all gets
// ten seconds.
func Try(d time.Duration) Option { return func(o *options) { o.bounded, o.try = true, d } }

// Keep leaves the goose where it is when Lead ends: no step-down.
func Keep() Option { return func(o *options) { o.then = api.ThenLeave } }

// OnWait calls f with the reason why Lead waits, at first and at each change, from its
// own goroutine.
func OnWait(f func(api.Waiting)) Option { return func(o *options) { o.onWait = f } }

// SilentTry is the least time that Try waits for an agent that has not answered, so that
// a busy machine does not miss its job.
const SilentTry = 10 * time.Second

// StoppedEarly is the text of ErrNotGoose with Try(0), after work was stopped.
const StoppedEarly = "work was stopped before its end, and is not started again"

// notGoose is an ErrNotGoose.
type notGoose struct {
	waiting *api.Waiting
	stopped bool // work was stopped, and Try is 0
}

// Error says who is the goose, or why this agent is not.
func (e *notGoose) Error() string {
	switch w := e.waiting; {
	case e.stopped:
		return StoppedEarly
	case w == nil:
		return "the agent does not say who is the goose"
	case w.Goose != "":
		return w.String() + ", not this agent"
	default:
		return w.String()
	}
}

// Is makes it match ErrNotGoose.
func (e *notGoose) Is(target error) bool { return target == ErrNotGoose }
