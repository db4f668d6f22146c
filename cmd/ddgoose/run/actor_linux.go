package run

import (
	"time"

	"duckduckgoose/agent/client"
)

// actor acts for the goose. The guard starts it, and it must be gone before another
// agent can be the goose. The guard keeps the deadline, the actor does not know it.
// Methods are called one at a time, except that kill may be called while stop runs.
type actor interface {
	// describe writes into a session's options what acts and what ends it.
	describe(*client.HoldOptions)
	// start begins to act and does not wait. The channel gets one outcome.
	start(env []string) <-chan outcome
	// stop asks what acts to end.
	stop()
	// killTime estimates the time from a kill until everything is gone. guess estimates
	// it for a number of processes.
	killTime(guess func(processes int) time.Duration) time.Duration
	killable
}

// renewer is an actor that is told the end of each lease by the boot clock, for the
// first time before it starts. The call does not wait.
type renewer interface{ renew(until time.Duration) }

// killable is what can be killed.
type killable interface {
	// kill makes one attempt to end what acts, and does not wait for anything that may
	// hang. A start that is under way ends, or never begins.
	kill()
	// gone reports whether nothing acts and nothing will act before the next start.
	gone() bool
	// changed gets a value when gone may have changed.
	changed() <-chan struct{}
}

// outcome is how an actor ended.
type outcome struct {
	code int
	err  error // why it did not start
}

// killUntilGone kills until nothing acts. pass is called before each attempt, and when
// something has ended. The pause between attempts grows: a thousand ending processes need
// the processors themselves. Something that cannot be reached, such as a container whose
// engine has stopped, is tried once a second.
func killUntilGone(a killable, pass func()) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	began, most := time.Now(), 50*time.Millisecond
	for pause := time.Millisecond; !a.gone(); pause = min(2*pause, most) { // with growing pauses
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
