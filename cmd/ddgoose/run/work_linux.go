package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// errEnded: CMD has ended by itself.
var errEnded = errors.New("the command has ended")

// work runs CMD for one goose period. When it returns, no process of CMD is left.
// length is that of a whole lease.
func (g *guard) work(ctx context.Context, lease lead.Lease, length time.Duration) error {
	status, ok := g.period(ctx, lease.Token())
	if !ok {
		return nil
	}
	ours := g.variables(status, lease.Token())
	if g.Slot > 0 {
		slot, ok := g.takeSlot(ctx, lease.Token())
		if !ok {
			return errNoSlot
		}
		ours["DDGOOSE_SLOT"] = strconv.FormatUint(slot, 10)
	}
	if err := writeEnvironment(g.EnvFile, ours); err != nil {
		g.note("token %d: %v", lease.Token(), err)
		code := CodeNotRunable
		g.code = &code
		return errEnded
	}
	env := environment(ours)
	g.begun = true
	working := true
	g.link.say(report{Working: &working})
	defer func() {
		working = false
		g.link.say(report{Working: &working})
	}()
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		began := time.Now()
		code := g.once(ctx, lease, length, env)
		if ctx.Err() != nil || lease.Until() <= 0 { // a guard that was stopped may not yet know of the end
			left := (time.Duration(g.until.Load()) - boottime.Now()).Round(time.Millisecond)
			if g.Slot > 0 { // the next start belongs to another run
				g.over()
			}
			g.note("token %d: stopped: %v%s; all was gone with %v of the lease left", lease.Token(), cmp.Or(context.Cause(ctx), lead.ErrLeaseLost), g.kill, left)
			return nil
		}
		if !g.Restart {
			g.code = &code
			return errEnded
		}
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		g.note("token %d: the command ended with code %d; again in %v", lease.Token(), code, backoff)
		pause(ctx, backoff)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// period asks the agent for the facts about this goose period that CMD gets; false: it is over.
func (g *guard) period(ctx context.Context, token uint64) (api.Status, bool) {
	for ctx.Err() == nil {
		s, err := g.client.Status(ctx)
		if err == nil && s.Token == token && s.FlockID != "" {
			return s, true
		}
		pause(ctx, 20*time.Millisecond)
	}
	return api.Status{}, false
}

// once starts the actor and waits until it has ended by itself or ctx has ended. Then it ends
// everything that the actor has left, and returns the exit code.
func (g *guard) once(ctx context.Context, lease lead.Lease, length time.Duration, env []string) int {
	outcomes := g.actor.start(env)
	var o outcome
	select {
	case o = <-outcomes:
		g.end(ctx, lease, length)
	case <-ctx.Done():
		g.end(ctx, lease, length)
		select {
		case o = <-outcomes:
		default: // it is not needed
		}
	}
	if o.err != nil {
		g.note("token %d: %v", lease.Token(), o.err)
	}
	return o.code
}

// end stops the actor. It kills when the grace is over, or when so little of the lease is left
// that something might outlive the lease.
func (g *guard) end(ctx context.Context, lease lead.Lease, length time.Duration) {
	asked := time.Now()
	g.kill = ""
	left := func() time.Duration {
		more := g.late.sooner(length) - g.late.shift(length) // the lease seen here ends earlier by the rest
		return min(g.grace(ctx)-time.Since(asked), lease.Until()-share(length, killLeft)-more)
	}
	var stopping sync.WaitGroup
	defer stopping.Wait()
	if !g.actor.gone() && left() > 0 {
		stopping.Go(g.actor.stop) // may take longer than the rest of the lease
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for !g.actor.gone() {
		left := left()
		if left <= 0 {
			began, sooner := boottime.Now(), g.late.whySooner(length)
			killUntilGone(g.actor, func() { g.link.beat(report{Killing: true}) })
			g.kills.saw(min(boottime.Now()-began, length)) // a longer time means that the machine was suspended
			g.kill = fmt.Sprintf("; killed with %v left%s", (time.Duration(g.until.Load()) - began).Round(time.Millisecond), sooner)
			return
		}
		timer.Reset(min(left, length/10)) // timers stop while the machine is suspended
		select {
		case <-g.actor.changed():
		case <-g.hurry:
		case <-done:
			done = nil // the grace may be shorter now
		case <-timer.C:
		}
	}
}

// grace returns how long CMD may still take to end.
func (g *guard) grace(ctx context.Context) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.now || context.Cause(ctx) == errRunGone {
		return 0
	}
	return g.Grace
}
