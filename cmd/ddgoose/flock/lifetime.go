package flock

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Lifetime bounds the random lives of agents. The zero value: no agent is killed.
type Lifetime struct{ Min, Max time.Duration }

// ParseLifetime reads "10s..30s", or one duration for a life of that length.
func ParseLifetime(s string) (Lifetime, error) {
	low, high, isRange := strings.Cut(s, "..")
	if !isRange {
		high = low
	}
	from, err1 := time.ParseDuration(strings.TrimSpace(low))
	to, err2 := time.ParseDuration(strings.TrimSpace(high))
	if err1 != nil || err2 != nil {
		return Lifetime{}, fmt.Errorf("lifetime %q: want two durations, as 10s..30s", s)
	}
	if from < time.Second || to < from {
		return Lifetime{}, fmt.Errorf("lifetime %q: want 1s or more, and the shorter first, as 10s..30s", s)
	}
	return Lifetime{from, to}, nil
}

// deadFor is how long an agent stays dead between two lives, long enough to be seen.
const deadFor = 2 * time.Second

// lives kills an agent after a random life and starts it again, until ctx ends. It
// leaves an agent alone that ended by itself or was killed by somebody else, until
// somebody starts it.
func (f *Flock) lives(ctx context.Context, name string, life Lifetime) {
	a := f.agents[name]
	for {
		gone := a.Gone()
		if !wait(ctx, life.Min+rand.N(life.Max-life.Min+1), gone) {
			return
		}
		if a.Running() {
			if f.Kill(name) != nil {
				continue // it ended at this moment
			}
			if !wait(ctx, deadFor, nil) {
				return
			}
			_ = f.revive(name) // fails if somebody holds it or has started it: their command counts
		}
		for !a.Running() {
			if !wait(ctx, deadFor, nil) {
				return
			}
		}
	}
}

// Sleep waits for d. It returns ctx's error if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	wait(ctx, d, nil)
	return ctx.Err()
}

// Every calls f every d until ctx ends.
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

// wait waits for d or early. It returns false if ctx ends first.
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
