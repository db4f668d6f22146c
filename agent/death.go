package agent

import (
	"context"
	"time"

	"duckduckgoose/agent/api"
)

// Die simulates a crash: the agent goes silent both ways at once, and what
// works for the goose here is told to stop. The socket still answers, with role
// dead. After d, or never when d is 0, or by Revive, it starts again from its disk.
func (a *Agent) Die(d time.Duration) error {
	if d < 0 {
		return api.Input("for %v: want a duration above 0, as 10s, or none until revived", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return a.do(ctx, func(l *life) error {
		revive := make(chan struct{})
		a.death.Lock()
		a.death.revive, a.death.lasts = revive, d
		a.death.Unlock()
		return errDead
	})
}

// Revive ends a simulated death: the agent starts again from its disk.
func (a *Agent) Revive() error {
	a.death.Lock()
	defer a.death.Unlock()
	if a.death.revive == nil {
		return api.Conflict("this agent is not dead")
	}
	select {
	case <-a.death.revive:
	default:
		close(a.death.revive)
	}
	return nil
}

// beDead waits for the revival; false: ctx ended first.
func (a *Agent) beDead(ctx context.Context) bool {
	a.death.Lock()
	revive, d := a.death.revive, a.death.lasts
	a.death.Unlock()
	s := a.board.read()
	s.Role, s.Goose, s.Token, s.Lease = api.RoleDead, nil, 0, api.Lease{}
	s.Seq = a.seq.Add(1)
	s.Warnings = []string{"dead by simulation: ddgoose simulate revive starts it again"}
	a.board.lease.Store(nil)
	a.board.post(s, 0, a.cfg.Lease)
	a.cfg.Logger.Warn("dead by simulation", "for", d)
	var timeout <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	alive := true
	select {
	case <-revive:
	case <-timeout:
	case <-ctx.Done():
		alive = false
	}
	a.death.Lock()
	a.death.revive = nil
	a.death.Unlock()
	a.cfg.Logger.Warn("revived", "alive", alive)
	return alive
}
