package run

import (
	"context"
	"time"
)

// unwantedPause is the pause between two looks for a container or unit that must not run.
const unwantedPause = time.Second

// killUnwanted kills, at each tick, a container or unit that runs while it must not: a person
// started it, or its manager executed the request of a guard that is dead by now.
func (m *managed) killUnwanted(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if m.turn.TryLock() {
			m.killIfRunning(ctx)
			m.turn.Unlock()
		}
	}
}

func (m *managed) killIfRunning(ctx context.Context) {
	s, err := m.see(nil)
	if err != nil || !s.running {
		return
	}
	m.note("%v runs, though this agent is not the goose: killing it", m)
	s.procs.kill()
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	_ = m.manager.kill(ctx) // the next tick sees what still runs
}
