package run

import (
	"time"

	"duckduckgoose/agent/client"
)

// actor is what acts for the goose: something that the guard starts, and that
// must be gone before another agent can be the goose. It knows no deadline: the
// guard does. Methods are called one at a time, but kill also while stop is busy.
type actor interface {
	// describe says in a session's options what acts and what ends it.
	describe(*client.HoldOptions)
	// start begins to act and waits for nothing. It gives a channel for one outcome.
	start(env []string) <-chan outcome
	// stop asks what acts to end.
	stop()
	// burial estimates how long all takes to be gone once it is killed. guess does
	// so for a number of processes.
	burial(guess func(processes int) time.Duration) time.Duration
	mortal
}

// renewer is an actor that wants to know until when each lease lasts, by the boot
// clock: at first before it starts. It waits for nothing.
type renewer interface{ renew(until time.Duration) }

// mortal is what can be killed.
type mortal interface {
	// kill ends what acts, as far as one attempt can, and waits for nothing that
	// may hang. A start that is under way ends, or never begins.
	kill()
	// gone tells whether nothing acts, nor will before the next start.
	gone() bool
	// changed gets a value when gone may have changed.
	changed() <-chan struct{}
}

// outcome is how an actor ended.
type outcome struct {
	code int
	err  error // why it did not start
}

// bury kills until nothing acts. pass is called before each attempt, and when
// something has ended. Not each of a thousand ends is followed by another attempt:
// those would take the processors that the dying need. What is out of reach for long, such
// as a container whose engine has stopped, is tried for once a second.
func bury(a mortal, pass func()) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	began, most := time.Now(), 50*time.Millisecond
	for pause := time.Millisecond; !a.gone(); pause = min(2*pause, most) { // ever less often
		if time.Since(began) > 10*time.Second {
			most = time.Second
		}
		pass()
		a.kill()
		wait.Reset(pause)
		for due := false; !due && !a.gone(); {
			select {
			case <-a.changed():
				pass()
			case <-wait.C:
				due = true
			}
		}
	}
}
