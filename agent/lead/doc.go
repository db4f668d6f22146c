// Package lead holds what Lead promises to work that acts for the goose, for
// agent.Lead in process and client.Lead over the socket alike.
//
//	             a deadline is handed out          returns by itself:
//	waiting ─────────────────────────> working ──> drained + step down, Lead returns
//	   ^                                  │
//	   │ returned: drained                │ 40 % left, or told to stop
//	   └───────────── cancelled <─────────┘
//	                     │
//	                     └── the deadline passes: late, until it returns
//
// The caller's context ending cancels too, and Lead returns after step down.
package lead

import (
	"errors"
	"time"

	"duckduckgoose/agent/api"
)

// Why the context of work has ended, by context.Cause. When the caller's own
// context has ended the cause is the caller's.
var (
	// ErrLeaseLost: the lease was not renewed in time; another agent may soon be the goose.
	ErrLeaseLost = errors.New("the goose's lease was lost")
	// ErrSteppedDown: this agent hands over. The lease is renewed meanwhile, up to the agent's grace.
	ErrSteppedDown = errors.New("the goose steps down")
	// ErrStopped: this agent is stopping. The lease is renewed as above.
	ErrStopped = errors.New("the agent is stopping")
)

// Lease is what work acts by. No context can stop work in a paused process: check
// Until before each act, and send Token along with it.
type Lease interface {
	// Token is the fencing token: it grows from goose period to goose period, and
	// whoever is acted upon refuses one lower than the highest it has seen.
	Token() uint64
	// Until is the time left now by the boot clock. 0 or less: over, for good.
	Until() time.Duration
}

// Session is the agent's end of a Lead: see [api.Holder], which is one.
type Session interface {
	Ready() <-chan struct{}
	Next() (api.LeadEvent, bool)
	Drained(token uint64, stepDown bool)
	Late(token uint64)
	Done() <-chan struct{}
}

var _ Session = api.Holder(nil)
