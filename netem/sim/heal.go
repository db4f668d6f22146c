package sim

import (
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
)

const (
	// majorityFor is how long a healed majority must keep a goose.
	majorityFor = 10 * time.Second
	// wholeFor is how long a flock without faults has to become whole: gossip finds
	// every agent within rejoinMost, and voters are added one by one.
	wholeFor = 150 * time.Second
)

// healMajority repairs the links among a majority and its machines, and nothing else.
// Then a goose is due within the bound of P4, if a voter that may lead is well.
func (s *Sim) healMajority() {
	s.bugs.stalls = 0
	m := s.drawMajority()
	if len(m) == 0 {
		return // no flock is founded yet
	}
	for a, b := range pairs(m) {
		s.net.cut[a.index][b.index] = false
		s.net.slow[a.index][b.index] = min(s.net.slow[a.index][b.index], s.bears())
	}
	for _, a := range m {
		s.mend(a)
	}
	s.flapsTo, s.handsOver, s.replaying = 0, 0, false
	s.stir(m)
	// An agent whose address changed while it was away cannot talk to others that have
	// not heard of it, so the bound starts later.
	for end := s.now + rejoinMost*3/2; s.err == nil && s.now < end && s.stands(m) && !meet(m); {
		s.run(min(end, s.now+20*time.Millisecond))
	}
	if s.err != nil || !meet(m) {
		return
	}
	s.emit(check.Event{Kind: check.Due, Bound: s.bound(m)})
	for end := s.now + majorityFor; s.err == nil && s.now < end && s.stands(m); {
		s.run(min(end, s.now+20*time.Millisecond))
	}
	s.emit(check.Event{Kind: check.Excused})
}

// bears returns how slow the links of a majority may be: a round trip of a quarter of
// the shortest lease certainly works (rule 21).
func (s *Sim) bears() time.Duration {
	lease := s.set.Timing.Lease
	for _, a := range s.agents {
		lease = min(lease, a.timing.Lease)
	}
	return max(lease/8-s.net.latency*3/2, 0)
}

// meet reports whether all of them know each other's addresses.
func meet(m []*agent) bool {
	for a, b := range pairs(m) {
		if b.id.IsZero() {
			continue
		}
		if a.life == nil {
			return false
		}
		if at, _ := a.life.member.Addr(b.id); at != b.addr {
			return false
		}
	}
	return true
}

// drawMajority draws agents among which a goose is due: a majority of the newest config
// that any of them knows, one of which may lead.
func (s *Sim) drawMajority() []*agent {
	var m, rest []*agent
	for _, a := range s.agents {
		if a.gone || a.id.IsZero() {
			continue
		}
		if a.rec.Config.N > 0 && s.script.Uint64()%3 > 0 {
			m = append(m, a)
		} else {
			rest = append(rest, a)
		}
	}
	for {
		if electable(m) {
			return m
		}
		if len(rest) == 0 {
			return nil
		}
		i := int(s.script.Uint64() % uint64(len(rest)))
		m = append(m, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
}

// stands reports whether a goose is still due among m: none of them has left, and
// voters added since do not need agents outside m.
func (s *Sim) stands(m []*agent) bool {
	return electable(m) && !slices.ContainsFunc(m, func(a *agent) bool { return a.life == nil || a.life.member.Stopping() || a.life.leaving })
}

// electable reports whether m can elect a goose of the newest config that any of them
// knows.
func electable(m []*agent) bool {
	rec := newest(m)
	return electsAmong(&rec.Config, m, func(a *agent) bool { return a.rec.FlockID == rec.FlockID })
}

// electsAmong reports whether the agents that count are a majority of a config, and one
// of them may lead: its priority is above 0 and it is well (rule 28).
func electsAmong(c *election.Config, agents []*agent, counts func(*agent) bool) bool {
	n, leads := 0, false
	for _, a := range agents {
		if i := c.Index(a.id); i >= 0 && counts(a) {
			n++
			leads = leads || c.Voters[i].Priority > 0 && !a.unwell
		}
	}
	return c.N > 0 && n >= c.Quorum() && leads
}

// mend ends every fault of one machine.
func (s *Sim) mend(a *agent) {
	s.setRules(a, netem.Rules{})
	a.syncTakes, a.armed, a.forge = 0, crashPoint{}, nil
	a.disk.Fail(nil)
	switch l := a.life; {
	case l == nil:
		s.start(a)
	case a.stopped:
		l.busyUntil = s.now
		s.wakeUp(a)
	}
	if l := a.life; l != nil {
		for _, at := range l.locals {
			for _, h := range at.holders { // work past its deadline ends, and what would go past it: its agent has lost the lease
				if h.late || h.token != 0 && at.lease.Token == 0 {
					h.doneAt = s.now + 1
					s.watch(h)
				}
			}
		}
	}
}

// stir changes links between the healed majority and the rest, and among the rest.
func (s *Sim) stir(m []*agent) {
	for a, b := range pairs(s.agents) {
		if (!slices.Contains(m, a) || !slices.Contains(m, b)) && s.script.OneIn(4) {
			s.net.cut[a.index][b.index] = s.script.OneIn(2)
		}
	}
	s.net.changed()
}

// bound returns P4's bound, for the paths and promises that the agents of m know.
func (s *Sim) bound(m []*agent) time.Duration {
	var b check.Bound
	b.RTT = s.net.latency * 3
	for _, a := range s.agents {
		b.Lease, b.Heartbeat = max(b.Lease, a.timing.Lease), max(b.Heartbeat, a.timing.Heartbeat)
		if l := a.life; l != nil {
			b.RTT = max(b.RTT, l.rtt)
			if l.node() != nil {
				if a.set.AutoLease { // it may have promised more than its own lease
					rec := l.node().Record()
					b.Lease, b.Heartbeat = max(b.Lease, rec.PromiseMax), max(b.Heartbeat, rec.PromiseMax/5)
				}
				for _, c := range l.node().Contacts(nil) {
					b.RTT = max(b.RTT, c.RTT)
				}
			}
		}
	}
	for a, other := range pairs(m) {
		b.RTT = max(b.RTT, s.net.latency*3+s.net.slow[a.index][other.index]+s.net.slow[other.index][a.index])
	}
	for _, a := range m {
		if l := a.life; l != nil && l.node() != nil {
			b.Wait = max(b.Wait, l.node().WaitUntil()-l.Now())
		}
	}
	return b.Within(election.MaxVoters)
}

// healAll ends every fault. Then the flock must become whole: all see one goose, and
// there are as many voters as there should be.
func (s *Sim) healAll() {
	s.heal()
	for _, a := range s.agents {
		clear(s.net.slow[a.index])
		s.mend(a)
	}
	if !electable(s.agents) { // for example because no voter that may lead is well
		for _, a := range s.agents {
			a.setUnwell(false)
		}
	}
	s.run(s.now + wholeFor)
	for range 10 { // gossip may just have raised a false alarm
		if s.err != nil || s.whole() == nil {
			return
		}
		s.run(s.now + 2*time.Second)
	}
	s.broke(s.whole())
}

// whole returns what a flock without faults still lacks.
func (s *Sim) whole() error {
	goose := s.goose()
	if goose == nil {
		return s.lacks("P4", "no goose")
	}
	if goose.unwell {
		return s.lacks("P4", "%s is the goose and unwell (rule 28)", goose.ident)
	}
	members, candidates := 0, 0
	for _, a := range s.agents {
		if a.life == nil || a.life.node() == nil || a.life.member.FlockID() != goose.life.member.FlockID() {
			continue
		}
		members++
		if !a.set.Observer || a.rec.Config.Has(a.id) {
			candidates++
		}
		if id, _ := a.life.member.Default().Goose(a.life.Now()); id != goose.id {
			return s.lacks("P4", "%s takes %s for the goose, which is %s,", a.ident, s.nameOf(id), goose.ident)
		}
		for _, e := range a.life.member.Elections()[1:] {
			if led := s.gooseOf(e.Name()); led != nil {
				if id, _ := e.Goose(a.life.Now()); id != led.id {
					return s.lacks("P4", "%s takes %s for the goose of %s, which is %s,", a.ident, s.nameOf(id), e.Name(), led.ident)
				}
			}
		}
	}
	c := &goose.rec.Config
	want := min(autopilot.TargetVoters(members, s.set.Voters), candidates)
	if want -= 1 - want%2; int(c.N) < want { // an even number survives no more deaths than the odd one below
		return s.lacks("P5", "%d voters (%s) and not %d", c.N, s.votersOf(c), want)
	}
	return nil
}

func (s *Sim) lacks(promise, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &check.Violation{Promise: promise, At: s.now, Text: fmt.Sprintf("%s %v after everything was healed", text, wholeFor)}
}
