package run

import (
	"os"
	"time"
)

// meantTwice is the least time between two equal signals that were both intended.
const meantTwice = 100 * time.Millisecond

// Repeat recognizes a signal that was sent twice for one purpose: timeout(1) passes a signal to
// its child, and right after that to its process group. The zero value has seen no signal.
type Repeat struct {
	sig os.Signal
	at  time.Time
}

// Of reports whether sig, received now, repeats the signal before.
func (r *Repeat) Of(sig os.Signal, now time.Time) bool {
	if sig == r.sig && now.Sub(r.at) < meantTwice {
		return true
	}
	r.sig, r.at = sig, now
	return false
}
