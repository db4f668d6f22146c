package sim

import "time"

// occurrence is something that happens at a moment of true time.
type occurrence struct {
	life   *life // it concerns this life alone; nil: whatever runs then
	do     func()
	to     *agent // which a datagram reaches, if there is nothing to do
	flight *flight
}

// after has something happen later.
func (s *Sim) after(d time.Duration, do func()) { s.queue.Push(s.now+d, occurrence{do: do}) }

// after has something happen later, unless this life is over by then.
func (l *life) after(d time.Duration, do func()) {
	l.sim.queue.Push(l.sim.now+d, occurrence{life: l, do: do})
}

// reach has a datagram reach a machine later.
func (s *Sim) reach(to *agent, d time.Duration, f *flight) {
	s.queue.Push(s.now+d, occurrence{to: to, flight: f})
}

func (s *Sim) happen(o occurrence) {
	s.stats.Events++
	switch {
	case o.life != nil && o.life.agent.life != o.life:
	case o.do != nil:
		o.do()
	default:
		s.arrive(o.to, o.flight)
	}
}
