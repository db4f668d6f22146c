package run

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
)

const (
	// burialEach is how long one process takes to be found, killed and gone, on a
	// machine of two cores that is busy: the kernel takes its memory apart.
	burialEach = 400 * time.Microsecond
	// burialMost bounds the part of a lease by which work ends sooner for its
	// many processes: what is left must bear a lost heartbeat.
	burialMost = 0.25
	// countPause spaces the counts of what runs.
	countPause = time.Second
)

// burial is how long the end of all descendants takes.
func (g *guard) burial() time.Duration { return time.Duration(g.brood.size.Load()) * burialEach }

// countOften keeps the number of descendants up to date until ctx ends.
func (g *guard) countOften(ctx context.Context) {
	for ctx.Err() == nil {
		g.brood.count()
		pause(ctx, countPause)
	}
}

// hasty is a session whose deadlines come sooner by what the burial takes, so that
// thousands of processes too are gone before the lease can end.
type hasty struct {
	*echoed
	burial func() time.Duration
}

func (h hasty) Next() (api.LeadEvent, bool) {
	e, ok := h.echoed.Next()
	if e.Until != 0 {
		e.Until -= int64(min(h.burial(), share(time.Duration(e.Lease), burialMost)))
	}
	return e, ok
}
