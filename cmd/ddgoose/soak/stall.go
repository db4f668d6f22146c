package soak

import (
	"context"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

const (
	stallLook = 20 * time.Millisecond
	// stallMost is how late this process may be before it counts as stalled: then the
	// agents on this machine were probably stalled too.
	stallMost = 200 * time.Millisecond
)

// Stall is a time in which this machine did not run this process.
type Stall struct {
	From time.Duration `json:"from_ns"`
	To   time.Duration `json:"to_ns"`
}

// canary notices when the machine stalls, so that the flock is not blamed for it.
type canary struct {
	w *conditions

	mu     sync.Mutex // guards stalls
	stalls []Stall
}

func (c *canary) watch(ctx context.Context) {
	last := boottime.Now()
	flock.Every(ctx, stallLook, func() {
		now := boottime.Now()
		if now-last > stallMost {
			c.mu.Lock()
			c.stalls = append(c.stalls, Stall{last, now})
			c.mu.Unlock()
			c.w.stalled(last)
		}
		last = now
		c.w.tick()
	})
}

func (c *canary) seen() []Stall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.stalls)
}
