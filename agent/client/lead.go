package client

import (
	"context"
	"errors"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// Lead waits, and calls work each time the agent is the goose, never twice at
// once. work's context is a child of ctx and ends when work must, and
// context.Cause says why: [lead.ErrLeaseLost] (40 % of the lease are left and it
// was not renewed), [lead.ErrSteppedDown] or [lead.ErrStopped] (the lease is
// renewed meanwhile, up to the agent's --grace).
//
// When work returns after such a cancel, Lead waits for the next time. When
// it returns by itself the agent steps down, and Lead returns its error. When
// ctx ends Lead waits for work, has the agent step down, and returns
// ctx.Err(). A panic in work goes on after the step-down was asked for.
//
// Lead fails at once (after c.Wait) when no agent answers, and when the agent
// refuses. After that it reconnects for ever: while the agent is away work
// goes on for as long as the clock allows.
//
// The agent counts work as ended when Lead has said so or this process is gone.
func (c *Client) Lead(ctx context.Context, work func(context.Context, lead.Lease) error) error {
	s, err := c.Hold(ctx, HoldOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	err = lead.Run(ctx, s, boottime.Now, work)
	if refused := s.Refusal(); refused != nil && errors.Is(err, lead.ErrStopped) {
		return refused
	}
	return err
}

var _ lead.Session = (*Session)(nil)
