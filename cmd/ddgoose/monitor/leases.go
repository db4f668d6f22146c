package monitor

import (
	"context"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// Leases knows until when leases last: a watch tells of no renewal.
type Leases struct {
	mu    sync.Mutex
	until map[string]time.Duration // by the boot clock
}

// askEvery is how often the goose is asked for its lease.
const askEvery = 250 * time.Millisecond

// Left gives what is left now of the lease of an agent on this machine.
func (l *Leases) Left(name string, s *api.Status) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Role != api.RoleGoose {
		return 0
	}
	return max(max(l.until[name], time.Duration(s.Lease.UntilBoottimeNS))-boottime.Now(), 0)
}

// Follow asks whoever is goose, until ctx ends.
func (l *Leases) Follow(ctx context.Context, m *Monitor) {
	every(ctx, askEvery, func() {
		goose := m.goose()
		if goose == "" {
			return
		}
		ask, cancel := context.WithTimeout(ctx, askEvery)
		defer cancel()
		s, err := m.Client(goose).Status(ask)
		if err != nil {
			return // it hangs or has gone: what is left runs out
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.until == nil {
			l.until = map[string]time.Duration{}
		}
		l.until[goose] = time.Duration(s.Lease.UntilBoottimeNS)
	})
}

// every calls f again and again until ctx ends, at once first.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
