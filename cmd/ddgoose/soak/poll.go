package soak

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

const (
	// pollGoose and pollDuck space the questions to an agent.
	pollGoose = 20 * time.Millisecond
	pollDuck  = 250 * time.Millisecond
	// pollLimit bounds how long an answer is waited for; one that was stopped
	// answers late, and that answer is looked at like any other.
	pollLimit = 15 * time.Second
)

// poll asks one agent all the time: often while it may be the goose.
func (o *observer) poll(ctx context.Context, a *flock.Agent) {
	timer := time.NewTimer(pollDuck)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := pollDuck
		ask, cancel := context.WithTimeout(ctx, pollLimit)
		s, err := a.Client().Status(ask)
		cancel()
		if err == nil {
			o.polled(a.Name, s)
		}
		if o.mayBeGoose(a.Name) {
			next = pollGoose
		}
		timer.Reset(next)
	}
}

func (o *observer) mayBeGoose(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.agents[name]
	return a.up && a.status.Role == api.RoleGoose
}
