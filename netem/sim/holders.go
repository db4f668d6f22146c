package sim

import (
	"fmt"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/check"
)

// holder acts for the goose by deadlines handed to it, as a process behind
// `run` or a Lead does: it stops when told to, or when 40 % of its lease are
// left, and takes its time. Nobody counts on it: what was handed out counts
// until it passes.
type holder struct {
	name   string
	life   *life
	token  uint64 // handed out and not drained; 0: none
	until  time.Duration
	doneAt time.Duration // true time at which its work will have ended; 0: it goes on
	late   bool
	finish bool // its work ends by itself
	timer  time.Duration
}

func (l *life) newHolder(i int) *holder {
	return &holder{name: fmt.Sprintf("h%d.%d", l.number, i), life: l}
}

// working counts the holders that were handed a token and have not drained.
func (l *life) working() (n int) {
	for _, h := range l.holders {
		if h.token != 0 {
			n++
		}
	}
	return n
}

// renew hands out a lease, as agent's holders do.
func (l *life) renew(lease election.Lease, ending bool) {
	for _, h := range l.holders {
		if ending && h.token != lease.Token || h.token != 0 && h.token != lease.Token {
			continue // one that has not drained its last period is not handed the next
		}
		h.token, h.until = lease.Token, lease.Until
		l.sim.later(l, h, check.Event{
			Kind: check.HandedOut, Agent: l.ident, Flock: l.flock(), Holder: h.name,
			Token: lease.Token, Until: l.deadline(lease.Until),
		})
		l.sim.watch(h)
	}
}

// stopWork tells every holder that works to stop.
func (l *life) stopWork() {
	for _, h := range l.holders {
		if h.token != 0 {
			l.sim.stopHolder(h)
		}
	}
}

// stopHolder begins the end of a holder's work.
func (s *Sim) stopHolder(h *holder) {
	if h.doneAt != 0 {
		return
	}
	a := h.life.agent
	takes := time.Duration(0)
	switch a.dice.Uint64() % 8 {
	case 1, 2:
		takes = below(&a.dice, a.timing.Lease/10)
	case 3, 4, 5:
		takes = below(&a.dice, a.timing.Lease)
	case 6:
		takes = below(&a.dice, 4*a.timing.Lease)
	case 7:
		takes = below(&a.dice, 2*grace)
	}
	h.doneAt = s.now + takes + 1
	s.watch(h)
}

// watch sets the holder's timer. A later one is set when that one rings.
func (s *Sim) watch(h *holder) {
	l := h.life
	at := l.deadline(h.until - l.timing.Lease*2/5)
	if h.doneAt != 0 {
		at = h.doneAt
		if end := l.deadline(h.until); !h.late && end > s.now {
			at = min(at, end)
		}
	}
	at = max(at, s.now+1)
	if h.timer > s.now && h.timer <= at {
		return
	}
	h.timer = at
	s.queue.push(occurrence{at: at, what: onHolder, agent: l.agent, holder: h})
}

// ring is the holder's timer.
func (s *Sim) ring(h *holder) {
	if h.timer > s.now {
		return
	}
	h.timer = 0
	l := h.life
	switch {
	case h.token == 0:
		return
	case h.doneAt != 0 && h.doneAt <= s.now:
		s.drainNow(h)
		s.tell(l, func() error { return l.drained(h) })
		return
	case h.doneAt == 0 && s.now >= l.deadline(h.until-l.timing.Lease*2/5):
		s.stopHolder(h)
	case h.doneAt != 0 && !h.late && s.now >= l.deadline(h.until):
		h.late = true
		s.tell(l, l.syncHolders)
	}
	s.watch(h)
}

// drainNow ends a holder's work.
func (s *Sim) drainNow(h *holder) {
	if h.token == 0 {
		return
	}
	h.token, h.doneAt, h.late = 0, 0, false
	s.emit(check.Event{Kind: check.Drained, Agent: h.life.ident, Flock: h.life.flock(), Holder: h.name})
}

// orphan is what becomes of a holder whose agent has crashed: it dies with the
// machine, or at once, or acts until its deadline.
func (s *Sim) orphan(h *holder, power bool) {
	if power || oneIn(&h.life.dice, 3) {
		s.drainNow(h)
	}
	h.token = 0
}

// tell has the loop hear what a holder says.
func (s *Sim) tell(l *life, f func() error) {
	switch {
	case !s.live(l):
	case l.stopped || s.now < l.busyUntil:
		l.tells = append(l.tells, f)
	default:
		err := f()
		if err == nil {
			err = l.turn()
		}
		s.fail(l, err)
	}
}

// drained is Holder.Drained of package agent.
func (l *life) drained(h *holder) error {
	ended := h.finish
	h.finish = false
	token := l.board.Token
	if err := l.syncHolders(); err != nil {
		return err
	}
	if !ended || l.node == nil || token == 0 || l.node.Lease().Token != token || l.handing != nil {
		return nil
	}
	_, err := l.stepDown(election.ID{})
	return err
}

// syncHolders tells the node what binds it, and moves a hand-over along.
func (l *life) syncHolders() error {
	if l.node == nil {
		return nil
	}
	if err := l.tellHolders(); err != nil {
		return err
	}
	return l.progressHandover(l.now())
}

// tellHolders tells the node what binds it: whether deadlines are handed out,
// whether all work has ended, and whether some goes on too long.
func (l *life) tellHolders() error {
	working := l.working()
	attached := working > 0 || l.handing == nil && len(l.holders) > 0
	if err := l.step(election.Holders{Attached: attached}); err != nil {
		return err
	}
	if !attached {
		if err := l.step(election.Drained{}); err != nil {
			return err
		}
	}
	late := false
	for _, h := range l.holders {
		late = late || h.late
	}
	if late == l.late {
		return nil
	}
	l.late = late
	return l.step(election.Busy{Late: late})
}
