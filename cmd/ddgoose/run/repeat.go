package run

import (
	"os"
	"time"
)

// meantTwice is how far apart two of one signal are when somebody meant both.
const meantTwice = 100 * time.Millisecond

// Repeat tells a signal that is heard twice from one that is meant twice:
// timeout(1) gives its own to its child, and at once to its process group. The
// zero value has heard none.
type Repeat struct {
	sig os.Signal
	at  time.Time
}

// Of reports whether sig, heard now, is the one before, heard again.
func (r *Repeat) Of(sig os.Signal, now time.Time) bool {
	if sig == r.sig && now.Sub(r.at) < meantTwice {
		return true
	}
	r.sig, r.at = sig, now
	return false
}
