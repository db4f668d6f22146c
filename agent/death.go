package agent

import (
	"context"
	"sync"
	"time"

	"duckduckgoose/agent/api"
)

// errIsDead answers commands while the agent is dead.
var errIsDead = api.WithCode(api.CodeDead, api.Conflict("this agent is dead by simulation"))

// death is the switch between lives.
type death struct {
	mu     sync.Mutex
	died   chan struct{} // closed while dead, replaced by a revival
	revive chan struct{} // not nil while dead; closed to revive
	lasts  time.Duration // 0: until revived
}

// next returns a channel that is closed while the agent is dead, or at its next death.
func (d *death) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

func (d *death) begin(lasts time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revive, d.lasts = make(chan struct{}), lasts
	close(d.died)
}

func (d *death) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revive, d.died = nil, make(chan struct{})
}

// Die simulates a crash: the agent stops sending and hearing, and tells work for
// the goose here to stop. The socket still answers, with role dead. The agent
// starts again from its disk after d (0: never) or by Revive.
func (a *Agent) Die(d time.Duration) error {
	if d < 0 {
		return api.Input("for %v: want a duration above 0, as 10s, or none until revived", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		l.fallSilent()
		for _, at := range append(a.otherLocals(), a.main) {
			s := at.snapshots.Read()
			s.Role, s.Goose, s.Token, s.Lease = api.RoleDead, nil, 0, api.Lease{}
			s.Warnings = []string{"dead by simulation: ddgoose simulate revive starts it again"}
			at.post(s, 0, a.cfg.Lease)
		}
		answer(struct{}{}, nil)
		a.death.begin(d)
		return errDead
	})
	return err
}

// Revive ends a simulated death: the agent starts again from its disk.
func (a *Agent) Revive() error {
	a.death.mu.Lock()
	defer a.death.mu.Unlock()
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

// beDead waits for the revival. It returns false if the agent stops first.
func (a *Agent) beDead(ctx context.Context) bool {
	a.death.mu.Lock()
	revive, d := a.death.revive, a.death.lasts
	a.death.mu.Unlock()
	a.cfg.Logger.Warn("dead by simulation", "for", d)
	var timeout <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-revive:
	case <-timeout:
	case <-ctx.Done():
		return false
	case <-a.aborted:
		return false
	}
	a.cfg.Logger.Warn("revived")
	return true
}
