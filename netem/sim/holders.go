package sim

import (
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/netem/check"
)

// local is the programs on a machine that follow one election: readers, and holders
// that work for the goose.
type local struct {
	*life
	name    string         // of the election
	lease   election.Lease // as readers see it
	seen    member.View    // as last published, without what always changes
	holders []*holder
	begun   uint64 // the last token that it was the goose of
}

var _ member.Local = (*local)(nil)

// localOf finds or makes the local of an election.
func (l *life) localOf(name string) *local {
	i := slices.IndexFunc(l.locals, func(at *local) bool { return at.name == name })
	if i < 0 {
		i = len(l.locals)
		l.locals = append(l.locals, &local{life: l, name: name})
	}
	return l.locals[i]
}

// Retract ends the lease for readers and stops holders.
func (at *local) Retract(member.Cause) {
	if keeps := at.sim.bugs.keeps; at.struck || keeps != nil && keeps(at) {
		return
	}
	if at.lease.Token != 0 {
		at.lease = election.Lease{}
		at.tellReaders(check.Event{Kind: check.Retracted})
		at.reaches("retract")
	}
	at.stopWork()
}

// Grant shows a lease to readers and hands it to holders.
func (at *local) Grant(lease election.Lease, ending bool) {
	if at.struck {
		return
	}
	if grants := at.sim.bugs.grants; grants != nil {
		lease = grants(at, lease)
	}
	at.begins(lease)
	at.lease = lease
	number := slices.IndexFunc(at.member.Elections(), func(e *member.Election) bool { return e.Name() == at.name })
	at.shows(uint64(number), lease.Token&election.MaxTerm, election.ID{})
	at.tellReaders(check.Event{Kind: check.Published, Token: lease.Token, Until: at.deadline(lease.Until)})
	for _, h := range at.holders {
		if ending && h.token != lease.Token || h.token != 0 && h.token != lease.Token {
			continue // it gets no deadline before it has drained its last period
		}
		h.token, h.until, h.stopAt = lease.Token, lease.Until, lease.Until-lease.Length*2/5
		at.sim.later(at, h, check.Event{
			Kind: check.HandedOut, Holder: h.name, Token: lease.Token, Until: at.deadline(lease.Until),
		})
		at.sim.watch(h)
	}
	at.reaches("grant")
}

// Stop stops holders while the lease is still valid.
func (at *local) Stop(member.Cause) { at.stopWork() }

// Publish shows readers a new state.
func (at *local) Publish(_ time.Duration, v *member.View) {
	seen := member.View{Role: v.Role, Leased: v.Leased, Token: v.Token, Goose: v.Goose, GooseTerm: v.GooseTerm}
	if at.seen != seen && !at.struck {
		at.seen = seen
		at.reaches("publish")
	}
}

// Heard shows readers nothing new.
func (at *local) Heard(time.Duration) bool { return true }

// Close ends this agent's part in the election. Its lease was retracted before.
func (at *local) Close() {}

// Holders returns what the holders do now.
func (at *local) Holders() member.Holders {
	h := member.Holders{Attached: len(at.holders), Health: member.Well}
	if at.unfit {
		h.Health = member.Unwell
	}
	for _, holder := range at.holders {
		if holder.token != 0 {
			h.Working++
			h.Grace = grace
		}
		if holder.late {
			h.Late++
		}
	}
	if says := at.sim.bugs.holders; says != nil {
		h = says(h)
	}
	return h
}

// tellReaders changes what readers see, once a slow disk has finished.
func (at *local) tellReaders(e check.Event) { at.sim.later(at, nil, e) }

// later shows an event to the checker when the loop gets there; a deadline of a holder
// only if the holder still works then.
func (s *Sim) later(at *local, h *holder, e check.Event) {
	when := at.busyUntil
	if e.Kind == check.Retracted && s.bugs.lag > 0 {
		when = max(when, s.now+s.bugs.lag)
	}
	if s.now < when {
		at.after(when-s.now, func() {
			if h == nil || h.token == e.Token {
				at.emit(e)
			}
		})
		return
	}
	at.emit(e)
}

// emit shows an event of this election to the checker.
func (at *local) emit(e check.Event) {
	e.Agent, e.Election, e.Flock = at.ident, at.name, ""
	if id := at.member.FlockID(); !id.IsZero() {
		e.Flock = at.sim.flockName(id)
	}
	at.sim.emit(e)
}

// deadline converts a boot clock reading to true time.
func (l *life) deadline(until time.Duration) time.Duration { return l.clock.At(l.sim.now, until) }

// holder works for the goose by deadlines, as a process behind `run` or a Lead does. It
// stops when told to, or when 40 % of its lease are left, and takes a while. The
// checker does not rely on that: a deadline counts until it passes.
type holder struct {
	name   string
	at     *local
	token  uint64 // handed out and not drained; 0: none
	until  time.Duration
	stopAt time.Duration // it is told to stop then, unless the lease is renewed
	doneAt time.Duration // true time at which its work ends; 0: it continues
	late   bool
	finish bool // its work ends by itself
	timer  time.Duration
}

// attach adds a session that waits for the lead.
func (at *local) attach() {
	at.sessions++
	at.holders = append(at.holders, &holder{name: fmt.Sprintf("h%d.%d", at.number, at.sessions), at: at})
}

// hold changes the number of sessions to n.
func (at *local) hold(n int) {
	for len(at.holders) > n { // a closed session works no longer
		last := at.holders[len(at.holders)-1]
		at.sim.drainNow(last)
		at.holders = at.holders[:len(at.holders)-1]
	}
	grows := len(at.holders) < n
	for len(at.holders) < n {
		at.attach()
	}
	switch e := at.member.Named(at.name); {
	case e == nil:
	case grows:
		at.member.HolderAttached(e)
	default:
		at.member.HoldersChanged(e)
	}
}

// stopWork tells every working holder to stop.
func (at *local) stopWork() {
	for _, h := range at.holders {
		if h.token != 0 && !at.struck {
			at.sim.stopHolder(h)
		}
	}
}

// stopHolder starts the end of a holder's work.
func (s *Sim) stopHolder(h *holder) {
	if h.doneAt != 0 {
		return
	}
	a := h.at.agent
	takes := time.Duration(0)
	switch a.random.Uint64() % 8 {
	case 1, 2:
		takes = a.random.Below(a.timing.Lease / 10)
	case 3, 4, 5:
		takes = a.random.Below(a.timing.Lease)
	case 6:
		takes = a.random.Below(4 * a.timing.Lease)
	case 7:
		takes = a.random.Below(2 * grace)
	}
	h.doneAt = s.now + takes + 1
	s.watch(h)
}

// watch sets the holder's timer. A later one is set when it fires.
func (s *Sim) watch(h *holder) {
	l := h.at.life
	at := l.deadline(h.stopAt)
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
	s.after(at-s.now, func() { s.ring(h) })
}

// ring handles the holder's timer.
func (s *Sim) ring(h *holder) {
	if h.timer > s.now {
		return
	}
	h.timer = 0
	l := h.at.life
	switch {
	case h.token == 0:
		return
	case h.doneAt != 0 && h.doneAt <= s.now:
		ended, token := h.finish, h.token
		s.drainNow(h)
		l.input(func() { h.at.drained(ended, token) })
		return
	case h.doneAt == 0 && s.now >= l.deadline(h.stopAt):
		s.stopHolder(h)
	case h.doneAt != 0 && !h.late && s.now >= l.deadline(h.until):
		h.late = true
		l.input(func() { h.at.drained(false, 0) })
	}
	s.watch(h)
}

// drained tells the member that holders have changed, and whether work has ended by
// itself.
func (at *local) drained(ended bool, token uint64) {
	e := at.member.Named(at.name)
	if e == nil {
		return
	}
	at.member.HoldersChanged(e)
	if ended {
		at.member.WorkEnded(e, token)
	}
}

// drainNow ends a holder's work.
func (s *Sim) drainNow(h *holder) {
	if h.token == 0 {
		return
	}
	h.token, h.doneAt, h.late, h.finish = 0, 0, false, false
	h.at.emit(check.Event{Kind: check.Drained, Holder: h.name})
}

// orphan decides what a holder does whose agent has crashed: it dies with the machine,
// or at once, or works until its deadline.
func (s *Sim) orphan(h *holder, power bool) (acts bool) {
	if power || h.at.random.OneIn(3) {
		s.drainNow(h)
	}
	acts = h.token != 0
	h.token = 0
	return acts
}
