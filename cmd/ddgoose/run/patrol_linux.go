package run

import (
	"context"
	"time"
)

// patrolPause spaces the looks for what runs while nothing should.
const patrolPause = time.Second

// patrol kills, at a tick, what runs out of turn: somebody started it by hand, or
// its manager read the request of a guard that had died since.
func (m *managed) patrol(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if m.turn.TryLock() {
			m.expel(ctx)
			m.turn.Unlock()
		}
	}
}

func (m *managed) expel(ctx context.Context) {
	s, err := m.see(nil)
	if err != nil || !s.running {
		return
	}
	m.note("%v runs, though this agent is not the goose: killing it", m)
	s.procs.kill()
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	_ = m.manager.kill(ctx) // what still runs is seen at the next tick
}
