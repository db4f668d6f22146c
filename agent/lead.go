package agent

import (
	"context"

	"duckduckgoose/agent/lead"
)

// Lease is what work for the goose acts by: see [lead.Lease].
type Lease = lead.Lease

// Why the context of work has ended, by context.Cause.
var (
	ErrLeaseLost   = lead.ErrLeaseLost
	ErrSteppedDown = lead.ErrSteppedDown
	ErrStopped     = lead.ErrStopped
)

// Lead waits, and calls work once per time this agent is the goose, never twice
// at once in a process. It may be called before Run has started. work's
// context is a child of ctx; context.Cause says why it ended: ErrLeaseLost,
// ErrSteppedDown or ErrStopped.
//
// An unrenewed lease cancels work when 40 % of it are left. A step-down, a
// leave or a stop cancels it first, renews the lease meanwhile for up to
// Config.Grace, and hands over only when all running works have returned. Work
// that goes on after a lapse keeps this agent from campaigning until it returns.
//
// When work returns by itself, the agent steps down and Lead returns work's
// error. After a cancel by a lost lease or a step-down, Lead waits for the next
// period. When ctx ends, work is cancelled and waited for, the agent steps down,
// and Lead returns ctx.Err(). A panic in work steps down, then goes on.
//
// No context can stop work in a paused process: check Lease.Until before each
// act, and send Lease.Token with it.
func (a *Agent) Lead(ctx context.Context, work func(context.Context, Lease) error) error {
	return a.byDefault().Lead(ctx, work)
}
