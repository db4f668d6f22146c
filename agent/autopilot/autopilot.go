// Package autopilot decides who should be a voter, from what the goose knows. It
// does no I/O, reads no clock, and remembers only since when each agent is alive.
//
//	var pilot autopilot.Pilot
//	if change, ok := pilot.Decide(now, view); ok { node.Step(now, change, &fx) }
package autopilot

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

const (
	// stableFirst and stableLater are how long an observer must have been alive and
	// have acked before it becomes a voter: stableFirst until the flock has reached its
	// target once, stableLater afterwards.
	stableFirst = 2 * time.Second
	stableLater = 10 * time.Second
	// absentFor is how long a voter must be gone before it is replaced.
	absentFor = 30 * time.Second
)

// Pilot decides who should be a voter: one change at a time, each committed before
// the next. Only the goose runs it. A new goose starts again, but knows from the
// others how long voters have been absent.
type Pilot struct {
	term    uint64
	reached int                           // the highest target reached in this term: up to it, additions wait longer
	steady  map[election.ID]time.Duration // since when an agent is alive and acks
}

// Member is an agent as the autopilot sees it.
type Member struct {
	ID       election.ID
	Alive    bool // by gossip
	Acks     bool // it has acked within a lease
	Fitness  election.Fitness
	Observer bool // by flag
	Priority uint8
	// PreemptAfter is how long it must be a steady voter before it takes over from
	// a goose of a lower priority; 0: it does not.
	PreemptAfter time.Duration
	Leaving      bool // it has asked to leave
	Forced       bool // somebody has forced it out
}

// View is the facts of one decision.
type View struct {
	Self      election.ID
	Term      uint64
	Config    election.Config
	Committed bool
	Limit     int                               // --voters: 1, 3, 5 or 7
	Frozen    bool                              // for maintenance: only repairs, and what somebody asked of one agent, are done
	Silent    [election.MaxVoters]time.Duration // how long each voter of Config has acked no goose, former ones included
	Members   []Member                          // all that have not left, this one included, sorted by ID
}

// Decide returns the one change to make now; ok is false if none is due.
func (p *Pilot) Decide(now time.Duration, v View) (c election.Change, ok bool) {
	p.observe(now, v)
	if !v.Committed {
		return c, false
	}
	target := p.target(v)
	if int(v.Config.N) >= target {
		p.reached = max(p.reached, target)
	}
	for _, m := range v.Members {
		if v.Config.Has(m.ID) && m.ID != v.Self && (m.Leaving || m.Forced || m.Observer && m.Alive) && answers(v, v.Config.Without(m.ID)) {
			return remove(m.ID), true
		}
	}
	if m, ok := p.soleVoterLeaves(v); ok {
		return add(m), true
	}
	if id, ok := p.shrink(v, target); ok {
		return remove(id), true
	}
	if int(v.Config.N) < target {
		if m, n := p.best(now, v, target); n > 0 && (v.Config.N%2 == 0 || n > 1) {
			return add(m), true // an even number of voters survives no more failures than one voter less: do not stop there
		}
	}
	if v.Config.N >= 3 && v.Config.N < election.MaxVoters && leaders(v.Config) < 2 {
		if m, n := p.best(now, v, target); n > 0 && m.Priority > 0 {
			return add(m), true // witnesses cannot succeed the goose: m replaces one of them
		}
	}
	if id, ok := p.absent(now, v, target); ok {
		return remove(id), true
	}
	for _, m := range v.Members {
		i := v.Config.Index(m.ID)
		if i < 0 || v.Frozen || !m.Alive || v.Config.Voters[i].Priority == m.Priority || m.ID == v.Self && m.Priority == 0 {
			continue // a goose that becomes a witness hands over first
		}
		return add(m), true
	}
	return c, false
}

// answers reports whether a majority of a config answers the goose: a config without an
// answering majority never commits, and blocks later changes.
func answers(v View, c election.Config) bool {
	n := 0
	for _, m := range v.Members {
		if c.Has(m.ID) && (m.Acks || m.ID == v.Self) {
			n++
		}
	}
	return n >= c.Quorum()
}

// leaders returns the number of voters that may lead.
func leaders(c election.Config) (n int) {
	for _, v := range c.Members() {
		if v.Priority > 0 {
			n++
		}
	}
	return n
}

func add(m Member) election.Change {
	return election.Change{Voter: election.Voter{ID: m.ID, Priority: m.Priority}}
}

func remove(id election.ID) election.Change {
	return election.Change{Voter: election.Voter{ID: id}, Remove: true}
}

// observe records since when this goose has seen each agent alive.
func (p *Pilot) observe(now time.Duration, v View) {
	if p.term != v.Term || p.steady == nil {
		*p = Pilot{term: v.Term, steady: map[election.ID]time.Duration{}}
	}
	for _, m := range v.Members {
		book(p.steady, m.ID, now, m.Alive && m.Acks || m.ID == v.Self)
	}
}

func book(since map[election.ID]time.Duration, id election.ID, now time.Duration, holds bool) {
	if !holds {
		delete(since, id)
		return
	}
	if _, ok := since[id]; !ok {
		since[id] = now
	}
}

// target is the number of voters that the flock should have: an odd number, for
// which there are enough agents that may vote. It limits additions only; see shrink
// for what a leave leaves behind.
func (p *Pilot) target(v View) int {
	n, able := 0, 0
	for _, m := range v.Members {
		if m.Leaving || m.Forced {
			continue
		}
		n++
		if !m.Observer {
			able++
		}
	}
	return min(TargetVoters(n, v.Limit), odd(able))
}

// shrink returns the voter to remove after a leave has left an even number: 4 become
// 3 and 2 become 1. Dead voters are removed before live ones.
func (p *Pilot) shrink(v View, target int) (id election.ID, ok bool) {
	if v.Config.N%2 == 1 || leaves(v) { // a goose that leaves needs its successor
		return id, false
	}
	if int(v.Config.N) <= target && (v.Config.N > 2 || slices.ContainsFunc(v.Members, func(m Member) bool { return m.Alive && mayJoin(v, m) })) {
		return id, false // two voters need both: keep two only while a third agent can become a voter
	}
	var worst election.Voter
	for _, voter := range v.Config.Members() {
		if voter.ID != v.Self && (worst.ID.IsZero() || p.worse(voter, worst)) {
			worst = voter
		}
	}
	return worst.ID, !worst.ID.IsZero()
}

// worse reports whether voter a should be removed rather than b.
func (p *Pilot) worse(a, b election.Voter) bool {
	_, aSteady := p.steady[a.ID]
	_, bSteady := p.steady[b.ID]
	if aSteady != bSteady {
		return !aSteady
	}
	return a.Priority < b.Priority
}

// best returns the observer that should become a voter next, and how many could.
func (p *Pilot) best(now time.Duration, v View, target int) (best Member, n int) {
	wait := stableFirst
	if target <= p.reached {
		wait = stableLater
	}
	for _, m := range v.Members {
		since, steady := p.steady[m.ID]
		if !mayJoin(v, m) || !steady || now-since < wait {
			continue
		}
		if n++; n == 1 || m.Priority > best.Priority {
			best = m
		}
	}
	return best, n
}

// absent returns a voter that has been gone for absentFor, if another agent can take
// its place or three or more voters stay.
func (p *Pilot) absent(now time.Duration, v View, target int) (id election.ID, ok bool) {
	for i, voter := range v.Config.Members() {
		if voter.ID == v.Self || v.Silent[i] < absentFor || present(v, voter.ID) {
			continue
		}
		if _, n := p.best(now, v, target); n > 0 || v.Config.N > 3 {
			return voter.ID, true
		}
	}
	return id, false
}

// present reports whether an agent lives, by gossip, or answers. Gossip forgets the dead.
func present(v View, id election.ID) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == id && (m.Alive || m.Acks) })
}

// leaves reports whether the goose itself has asked to leave.
func leaves(v View) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == v.Self && m.Leaving })
}

// mayJoin reports whether an agent could become a voter.
func mayJoin(v View, m Member) bool {
	return !v.Config.Has(m.ID) && !m.Observer && !m.Leaving && !m.Forced
}

// soleVoterLeaves returns the successor of a goose that is the only voter and wants to leave.
func (p *Pilot) soleVoterLeaves(v View) (best Member, ok bool) {
	if v.Config.N != 1 || !leaves(v) {
		return best, false
	}
	for _, m := range v.Members {
		if m.ID != v.Self && m.Alive && m.Acks && !m.Observer && !m.Leaving && m.Priority > 0 && (!ok || m.Priority > best.Priority) {
			best, ok = m, true
		}
	}
	return best, ok
}

// Unfit reports whether the goose should not be a goose: it was restarted as a
// witness or observer. It hands over when somebody can take over.
func Unfit(v View) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == v.Self && (m.Observer || m.Priority == 0) })
}

// TargetVoters returns the largest odd number of voters for a flock: at most its
// members, at most limit, and at most 7.
func TargetVoters(members, limit int) int { return min(odd(members), limit, 7) }

// odd returns the largest odd number up to n, and 1 at least.
func odd(n int) int { return max(n-1|1, 1) }
