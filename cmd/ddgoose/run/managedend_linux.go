package run

import (
	"context"
	"time"
)

// settled waits until no earlier stop or kill is under way; false: kill was called.
func (m *managed) settled() bool {
	for {
		m.mu.Lock()
		barred := m.mu.barred
		m.mu.Unlock()
		if barred || m.asked.Load() == 0 {
			return !barred
		}
		select {
		case <-m.kick:
		case <-time.After(lookPause):
		}
	}
}

func (m *managed) stop() {
	done := m.asking()
	go func() {
		defer done()
		m.askStop()
	}()
}

// askStop asks what runs to end. It returns when that has ended or kill was called.
func (m *managed) askStop() {
	ctx, cancel := context.WithTimeout(context.Background(), m.grace+managerTimeout)
	defer cancel()
	m.mu.Lock()
	barred := m.mu.barred
	m.mu.unstop = cancel
	m.mu.Unlock()
	if barred {
		return
	}
	if err := m.manager.stop(ctx, m.grace); err != nil && ctx.Err() == nil {
		m.note("%v: stop: %v", m, err)
	}
}

// asking counts a stop or kill as under way until done is called.
func (m *managed) asking() (done func()) {
	m.asked.Add(1)
	return func() {
		m.asked.Add(-1)
		tell(m.kick)
		tell(m.news)
	}
}

func (m *managed) kill() {
	m.mu.Lock()
	m.mu.barred = true
	unstop, id := m.mu.unstop, m.mu.id
	starting := m.mu.latest != nil && m.mu.latest.Starting
	m.mu.Unlock()
	if unstop != nil {
		unstop()
	}
	m.procs().kill()
	if starting {
		m.underWay(id).kill() // then the manager sees a failed start, or ends what it has started
	}
	tell(m.kick)
	if !m.killing.CompareAndSwap(false, true) {
		return
	}
	done := m.asking()
	go func() {
		defer done()
		defer m.killing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), managerTimeout)
		defer cancel()
		if m.manager.kill(ctx) != nil { // watch sees what still runs, and kills it again
			time.Sleep(lookPause / 10) // do not ask a manager that is gone in a busy loop
		}
	}()
}

func (m *managed) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.latest == nil || m.mu.latest.ended()
}

func (m *managed) killTime(guess func(int) time.Duration) time.Duration {
	procs := m.procs()
	if !procs.killable() {
		return managerKillTime + guess(0)
	}
	n, _ := procs.count()
	return guess(n)
}
