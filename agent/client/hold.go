package client

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// HoldOptions are the settings of a session.
type HoldOptions struct {
	// Heirs: a guard outlives this process. The death of this process does not prove that
	// the work ended, so the session counts as working until its deadline.
	Heirs bool
	// Share lets the work run beside the work of other sessions with Heirs; otherwise one
	// of them works at a time.
	Share bool
	// Work says what acts, and Ends what ends it, for people; "": not shown.
	Work, Ends string
	// Acks makes the session answer deadlines. If it answers none for a whole lease,
	// because this process was stopped, an agent with other work becomes the goose. So the
	// work must stop with this process, or end by itself at the deadline, or be in Cgroup.
	Acks bool
	// Cgroup is a folder of cgroup version 2 that the agent kills in that case; "": none.
	// This process must be in the cgroup named guard beside it.
	Cgroup string
	// Kind is the name for this kind of holder; holders of one kind work one at a time.
	// "": [api.DefaultKind].
	Kind string
	// Grace is how long the work may take to end at a planned end, at most [api.MaxGrace];
	// 0: the agent's own grace.
	Grace time.Duration
	// Patient waits without limit for an agent, from the start. Otherwise the session is
	// refused if no agent answers within the client's Wait.
	Patient bool
}

// plain drops the options that agents of the first release refuse. Those agents let only
// one session with Heirs work at a time, whatever its Kind.
func (o HoldOptions) plain() HoldOptions {
	return HoldOptions{Heirs: o.Heirs, Share: o.Share, Grace: o.Grace}
}

// holdPath is where a session is opened.
func (c *Client) holdPath(o HoldOptions) string {
	query := url.Values{}
	for name, value := range map[string]string{api.WorkQuery: o.Work, api.EndsQuery: o.Ends, api.CgroupQuery: o.Cgroup} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.Acks {
		query.Set(api.AcksQuery, "true")
	}
	if o.Heirs {
		query.Set(api.HeirsQuery, "true")
	}
	if o.Share {
		query.Set(api.ShareQuery, "true")
	}
	if o.Kind != "" {
		query.Set(api.KindQuery, o.Kind)
	}
	if o.Grace != 0 {
		query.Set(api.GraceQuery, o.Grace.String())
	}
	return strings.TrimSuffix(c.path("/lead")+"?"+query.Encode(), "?")
}

// Lead waits, and calls work each time the agent is the goose, never twice at
// once. work's context is a child of ctx and ends when work must, and
// context.Cause says why: [lead.ErrLeaseLost] (40 % of the lease are left and it
// was not renewed), [lead.ErrSteppedDown] or [lead.ErrStopped] (the lease is
// renewed meanwhile, up to the agent's --grace).
//
// When work returns after such a cancel, Lead waits for the next time. When
// it returns by itself the agent steps down, and Lead returns its error. When
// ctx ends Lead waits for work, has the agent step down, and returns
// ctx.Err(). A panic in work continues after the agent was asked to step down.
//
// [lead.Try] bounds the wait, with [lead.ErrNotGoose], and [lead.Keep] leaves the
// goose where it is instead of stepping down.
//
// Lead fails at once (after c.Wait) when no agent answers, and when the agent
// refuses. Once an agent has answered, it reconnects without limit. While no
// agent answers, work goes on until 40 % of its lease are left.
//
// The agent counts work as ended when Lead has said so or this process is gone.
func (c *Client) Lead(ctx context.Context, work func(context.Context, lead.Lease) error, opts ...lead.Option) error {
	s := c.Hold(HoldOptions{Ends: lead.Ends, Acks: true})
	defer s.Close()
	err := lead.Run(ctx, s, boottime.Now, work, opts...)
	if refused := s.Refusal(); refused != nil && errors.Is(err, lead.ErrStopped) {
		return refused
	}
	return err
}
