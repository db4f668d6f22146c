package flock

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/monitor"
	"duckduckgoose/cmd/ddgoose/top"
)

// Monitor follows what every agent of a flock publishes, through its restarts.
type Monitor = monitor.Monitor

// reconnect is how long a monitor waits before it tries again to reach an agent.
const reconnect = 10 * time.Millisecond

// NewMonitor follows f until ctx ends or Close. It calls see, which may be nil, with
// every status, one at a time; up is false when the agent has stopped answering. see
// must not call the monitor.
func NewMonitor(ctx context.Context, f *Flock, see func(name string, s api.Status, up bool)) *Monitor {
	m := monitor.New(ctx, reconnect, see)
	m.Rescue = top.Rescue
	for _, name := range f.names {
		m.Follow(name, f.agents[name].Client())
	}
	return m
}
