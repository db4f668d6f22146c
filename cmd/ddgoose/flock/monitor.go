package flock

import (
	"context"
	"sync"
	"time"

	"duckduckgoose/agent/api"
)

// Monitor follows what every agent of a flock publishes, through its restarts.
type Monitor struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex // guards what follows, and keeps reports in order
	latest  map[string]api.Status
	changed chan struct{} // closed and replaced at every change
}

// reconnect is how long a monitor waits before it looks for an agent again.
const reconnect = 10 * time.Millisecond

// NewMonitor follows f until ctx ends or Close. see, which may be nil, hears
// of every status as it comes, one at a time; up is false when the agent
// has stopped answering. It must not call the monitor.
func NewMonitor(ctx context.Context, f *Flock, see func(name string, s api.Status, up bool)) *Monitor {
	ctx, cancel := context.WithCancel(ctx)
	m := &Monitor{cancel: cancel, latest: map[string]api.Status{}, changed: make(chan struct{})}
	for _, name := range f.names {
		m.ended.Go(func() { m.follow(ctx, f.agents[name], see) })
	}
	return m
}

// Close stops following.
func (m *Monitor) Close() {
	m.cancel()
	m.ended.Wait()
}

func (m *Monitor) follow(ctx context.Context, a *Agent, see func(string, api.Status, bool)) {
	wait := time.NewTimer(reconnect)
	defer wait.Stop()
	for {
		for s, err := range a.Client().Watch(ctx) {
			if err == nil {
				m.report(a.Name, s, true, see)
			}
		}
		m.report(a.Name, api.Status{}, false, see)
		wait.Reset(reconnect)
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
	}
}

func (m *Monitor) report(name string, s api.Status, up bool, see func(string, api.Status, bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, was := m.latest[name]; !up && !was {
		return
	}
	if up {
		m.latest[name] = s
	} else {
		delete(m.latest, name)
	}
	if see != nil {
		see(name, s, up)
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// Look calls f with the latest status of every agent that answers. The channel
// that it gives is closed at the next change. f must not keep the map.
func (m *Monitor) Look(f func(up map[string]api.Status)) (changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.latest)
	return m.changed
}
