// Package autopilot decides who should be a voter, as a pure function of what
// the goose knows: it reads no clock, draws no chance and remembers only since
// when each agent lives.
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
	// stableFirst and stableLater are how long an observer must have been alive
	// and acking before it becomes a voter: while the flock is below its target
	// for the first time, and afterwards.
	stableFirst = 2 * time.Second
	stableLater = 10 * time.Second
	// absentFor is how long a voter must be gone before it is replaced.
	absentFor = 30 * time.Second
)

// Pilot decides who should be a voter: one change at a time, each
// committed before the next. The goose runs it; a new goose starts again, except for
// the absences of voters, which the flock remembers.
type Pilot struct {
	term    uint64
	reached int                           // the highest target reached in this term: up to it, additions wait longer
	steady  map[election.ID]time.Duration // since when an agent lives and acks
}

// Member is an agent as the autopilot sees it.
type Member struct {
	ID       election.ID
	Alive    bool // by gossip
	Acks     bool // it has acked within a lease
	Fitness  election.Fitness
	Observer bool // by flag
	Priority uint8
	// PreemptAfter is how long it wants to be a steady voter before it takes over
	// from a goose of a lower priority; 0: it waits for an election.
	PreemptAfter time.Duration
	Leaving      bool // it has asked to leave
	Forced       bool // somebody has forced it out
}

// View is what one decision is made from.
type View struct {
	Self      election.ID
	Term      uint64
	Config    election.Config
	Committed bool
	Limit     int                               // --voters: 1, 3, 5 or 7
	Frozen    bool                              // for maintenance: only what heals, or what one agent was asked for, is done
	Silent    [election.MaxVoters]time.Duration // how long each voter of Config has acked no goose, former ones included
	Members   []Member                          // all that have not left, this one included, sorted by ID
}

// Decide gives the one change to make now; ok is false when there is none.
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
			return add(m), true // an even set stands no more deaths than the odd one below: never stop there
		}
	}
	if v.Config.N >= 3 && v.Config.N < election.MaxVoters && leaders(v.Config) < 2 {
		if m, n := p.best(now, v, target); n > 0 && m.Priority > 0 {
			return add(m), true // witnesses alone cannot follow the goose: it takes the place of one
		}
	}
	if id, ok := p.absent(now, v, target); ok {
		return remove(id), true
	}
	for _, m := range v.Members {
		i := v.Config.Index(m.ID)
		if i < 0 || v.Frozen || !m.Alive || v.Config.Voters[i].Priority == m.Priority || m.ID == v.Self && m.Priority == 0 {
			continue // a goose that wants to be a witness hands over first
		}
		return add(m), true
	}
	return c, false
}

// answers tells whether a majority of a config answers the goose: a config without an
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

// leaders counts the voters that may lead.
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

// observe keeps since when everybody lives, by this goose's own eyes.
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

// target is the number of voters for the members there are, at most the odd
// number of those that may vote. It limits additions only; shrink deals with
// what a leave left.
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

// shrink drops even sets that a leave has left: 4 to 3 and 2 to 1. One that is
// dead goes before one that is alive.
func (p *Pilot) shrink(v View, target int) (id election.ID, ok bool) {
	if v.Config.N%2 == 1 || leaves(v) { // a goose that leaves needs its successor
		return id, false
	}
	if int(v.Config.N) <= target && (v.Config.N > 2 || slices.ContainsFunc(v.Members, func(m Member) bool { return m.Alive && mayJoin(v, m) })) {
		return id, false // of two either death ends the flock: they stay two only while a third is at hand
	}
	var worst election.Voter
	for _, voter := range v.Config.Members() {
		if voter.ID != v.Self && (worst.ID.IsZero() || p.worse(voter, worst)) {
			worst = voter
		}
	}
	return worst.ID, !worst.ID.IsZero()
}

// worse tells whether voter a is the one to do without, rather than b.
func (p *Pilot) worse(a, b election.Voter) bool {
	_, aSteady := p.steady[a.ID]
	_, bSteady := p.steady[b.ID]
	if aSteady != bSteady {
		return !aSteady
	}
	return a.Priority < b.Priority
}

// best gives the observer that should become a voter next, and how many could.
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

// absent gives a voter that has been gone for long enough, when another can
// take its place or when three or more stay.
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

// present tells whether an agent lives, by gossip, or answers. Gossip forgets the dead.
func present(v View, id election.ID) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == id && (m.Alive || m.Acks) })
}

// leaves tells whether the goose itself has asked to leave.
func leaves(v View) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == v.Self && m.Leaving })
}

// mayJoin tells whether an agent is one that could become a voter.
func mayJoin(v View, m Member) bool {
	return !v.Config.Has(m.ID) && !m.Observer && !m.Leaving && !m.Forced
}

// soleVoterLeaves gives the successor of a goose that is the only voter and wants to leave.
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

// Unfit tells that the goose itself should be none: it was started anew as a
// witness or an observer. It hands over when somebody can take over.
func Unfit(v View) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == v.Self && (m.Observer || m.Priority == 0) })
}

// TargetVoters gives the largest odd number of voters for a flock: at most its
// members, at most limit, and at most 7.
func TargetVoters(members, limit int) int { return min(odd(members), limit, 7) }

// odd gives the largest odd number up to n, and 1 at least.
func odd(n int) int { return max(n-1|1, 1) }
