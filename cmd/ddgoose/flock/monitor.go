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

// reconnect is how long a monitor waits before it looks for an agent again.
const reconnect = 10 * time.Millisecond

// NewMonitor follows f until ctx ends or Close. see, which may be nil, hears
// of every status as it comes, one at a time; up is false when the agent
// has stopped answering. It must not call the monitor.
func NewMonitor(ctx context.Context, f *Flock, see func(name string, s api.Status, up bool)) *Monitor {
	m := monitor.New(ctx, reconnect, see)
	m.Rescue = top.Rescue
	for _, name := range f.names {
		m.Follow(name, f.agents[name].Client())
	}
	return m
}
