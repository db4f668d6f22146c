// Package monitor follows agents by their sockets: it watches what they publish, and
// asks for the rest.
package monitor

import (
	"context"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// Monitor follows what agents publish, through their restarts.
type Monitor struct {
	// All goroutines of Go defer Rescue, if it is set before the first Follow: a panic of
	// one ends the process, and Rescue can restore the terminal first.
	Rescue func()

	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup
	again  time.Duration
	see    func(name string, s api.Status, up bool)

	mu      sync.Mutex // guards what follows, and keeps reports in order
	clients map[string]*client.Client
	latest  map[string]api.Status
	changed chan struct{} // closed and replaced at every change
}

// New makes a monitor that follows agents until ctx ends or Close. After an agent has
// gone, it tries to reach it again every retry. It calls see, which may be nil, with
// every status, one at a time; up is false when the agent has stopped answering. see
// must not call the monitor.
func New(ctx context.Context, again time.Duration, see func(name string, s api.Status, up bool)) *Monitor {
	m := &Monitor{again: again, see: see, clients: map[string]*client.Client{}, latest: map[string]api.Status{}, changed: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// Follow begins to follow an agent, unless it is followed already. It must not
// be called after Close.
func (m *Monitor) Follow(name string, c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clients[name] == nil {
		m.clients[name] = c
		m.Go(func(context.Context) { m.follow(name, c) })
	}
}

// Go runs f until Close, which waits for it.
func (m *Monitor) Go(f func(ctx context.Context)) {
	m.ended.Go(func() {
		if m.Rescue != nil {
			defer m.Rescue()
		}
		f(m.ctx)
	})
}

// Client talks to an agent that is followed; nil: it is not.
func (m *Monitor) Client(name string) *client.Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clients[name]
}

// Close stops following.
func (m *Monitor) Close() {
	m.cancel()
	m.ended.Wait()
}

func (m *Monitor) follow(name string, c *client.Client) {
	wait := time.NewTimer(m.again)
	defer wait.Stop()
	for {
		for s, err := range c.Watch(m.ctx) {
			if err == nil {
				m.report(name, s, true)
			}
		}
		m.report(name, api.Status{}, false)
		wait.Reset(m.again)
		select {
		case <-m.ctx.Done():
			return
		case <-wait.C:
		}
	}
}

func (m *Monitor) report(name string, s api.Status, up bool) {
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
	if m.see != nil {
		m.see(name, s, up)
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// Look calls f with the latest status of every agent that answers. It returns a channel
// that is closed at the next change. f must not keep the map.
func (m *Monitor) Look(f func(up map[string]api.Status)) (changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.latest)
	return m.changed
}
