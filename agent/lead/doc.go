// Package lead starts and ends the work that acts for the goose. agent.Lead uses it
// in process, client.Lead over the socket.
//
//	             a deadline is handed out          returns by itself:
//	waiting ─────────────────────────> working ──> drained + step down (or Keep), Lead returns
//	   ^                                  │
//	   │ returned: drained                │ 40 % left, or told to stop
//	   └───────────── cancelled <─────────┘
//	                     │
//	                     └── the deadline passes: late, until it returns
//
// The caller's context ending cancels too, and Lead returns after step down. Try
// bounds each wait.
package lead

import (
	"context"
	"errors"
	"time"

	"duckduckgoose/agent/api"
)

// The reasons why work's context ended, by context.Cause. If the caller's own context
// ended, the cause is the caller's.
var (
	// ErrLeaseLost: the lease was not renewed in time; another agent may soon be the goose.
	ErrLeaseLost = errors.New("the goose's lease was lost")
	// ErrSteppedDown: this agent hands over. The lease is renewed meanwhile, up to the agent's grace.
	ErrSteppedDown = errors.New("the goose steps down")
	// ErrStopped: this agent is stopping. The lease is renewed meanwhile, up to the
	// agent's grace.
	ErrStopped = errors.New("the agent is stopping")
)

// ErrNotGoose: Lead gave up after the time of Try. Errors that match it say who is the
// goose.
var ErrNotGoose = errors.New("not the goose in time")

// Ends is what status shows for what ends work that Lead calls.
const Ends = "the program itself"

// Lease is the right to act. No context can stop work in a paused process: check Until
// before each act, and send Token with it.
type Lease interface {
	// Token is the fencing token. It grows with each goose period; a receiver
	// refuses tokens lower than the highest seen.
	Token() uint64
	// Until returns the time left, by the boot clock. 0 or less: the lease is over, for
	// good.
	Until() time.Duration
	// Mark returns the election's mark as it was last known to be committed: a number
	// that only grows, whichever agent is the goose (rule 29).
	Mark() uint64
	// Advance raises the mark to a larger number, at most 2^53-1, and returns nil once a
	// majority of the voters has saved it: then no goose, now or later, can raise it to that
	// number again. It fails with ErrTaken if the mark has this value or a higher one, and with
	// another error if this goose period has ended or no majority answers within two leases:
	// then the mark may or may not be raised, so the work that it guards must not be done.
	Advance(ctx context.Context, to uint64) error
}

// ErrTaken: the mark already has this value or a higher one.
var ErrTaken = errors.New("the mark is taken")

// Session is the agent's end of a Lead: see [api.Holder], which is one.
type Session interface {
	Ready() <-chan struct{}
	Next() (api.LeadEvent, bool)
	Drained(token uint64, then api.Then)
	Late(token uint64)
	Advance(ctx context.Context, token, to uint64) error
	Done() <-chan struct{}
}

var _ Session = api.Holder(nil)
