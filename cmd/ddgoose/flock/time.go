package flock

import (
	"context"
	"time"
)

// Sleep waits for d; an error is ctx's, which has ended before.
func Sleep(ctx context.Context, d time.Duration) error {
	wait(ctx, d, nil)
	return ctx.Err()
}

// Every calls f again and again, each d, until ctx ends.
func Every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// wait waits for d or for early, and tells whether ctx let it.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-early:
	}
	return true
}
