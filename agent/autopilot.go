package agent

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

// autopilot decides who should be a voter: one change at a time, each
// committed before the next. It is the goose's; a new goose starts anew, so
// absences count from its own election at the earliest.
type autopilot struct {
	term    uint64
	reached bool                          // the target was reached in this term: from now on additions wait longer
	gone    map[election.ID]time.Duration // since when a voter neither lives nor acks
	steady  map[election.ID]time.Duration // since when an agent lives and acks
}

// pilotMember is an agent as the autopilot sees it.
type pilotMember struct {
	id       election.ID
	alive    bool // by gossip
	acks     bool // it has acked within a lease
	observer bool // by flag
	priority uint8
	leaving  bool // it has asked to leave
	forced   bool // somebody has forced it out
}

// pilotView is what one decision is made from.
type pilotView struct {
	self      election.ID
	term      uint64
	config    election.Config
	committed bool
	limit     int           // --voters
	members   []pilotMember // all that have not left, this one included
}

// decide gives the one change to make now; ok is false when there is none.
func (p *autopilot) decide(now time.Duration, v pilotView) (c election.Change, ok bool) {
	p.observe(now, v)
	if !v.committed {
		return c, false
	}
	target := p.target(v)
	if int(v.config.N) >= target {
		p.reached = true
	}
	for _, m := range v.members {
		if v.config.Has(m.id) && m.id != v.self && (m.leaving || m.forced) {
			return remove(m.id), true
		}
	}
	if m, ok := p.soleVoterLeaves(v); ok {
		return add(m), true
	}
	if id, ok := p.shrink(v, target); ok {
		return remove(id), true
	}
	if int(v.config.N) < target {
		if m, n := p.best(now, v); n > 0 && (v.config.N%2 == 0 || n > 1) {
			return add(m), true // an even set stands no more deaths than the odd one below: never stop there
		}
	}
	if id, ok := p.absent(now, v); ok {
		return remove(id), true
	}
	for _, m := range v.members {
		if i := v.config.Index(m.id); i >= 0 && m.alive && v.config.Voters[i].Priority != m.priority && p.keepsLeader(v, m) {
			return add(m), true
		}
	}
	return c, false
}

func add(m pilotMember) election.Change {
	return election.Change{Voter: election.Voter{ID: m.id, Priority: m.priority}}
}

func remove(id election.ID) election.Change {
	return election.Change{Voter: election.Voter{ID: id}, Remove: true}
}

// observe keeps since when everybody lives or is gone, by this goose's own eyes.
func (p *autopilot) observe(now time.Duration, v pilotView) {
	if p.term != v.term || p.gone == nil {
		*p = autopilot{term: v.term, gone: map[election.ID]time.Duration{}, steady: map[election.ID]time.Duration{}}
	}
	seen := map[election.ID]bool{}
	for _, m := range v.members {
		seen[m.id] = true
		book(p.steady, m.id, now, m.alive && m.acks || m.id == v.self)
		book(p.gone, m.id, now, !m.alive && !m.acks && m.id != v.self)
	}
	for _, voter := range v.config.Members() {
		if !seen[voter.ID] { // gossip has forgotten it: it is gone
			book(p.gone, voter.ID, now, true)
		}
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

// target is the number of voters for the members there are. It limits
// additions only; shrink deals with what a leave left.
func (p *autopilot) target(v pilotView) int {
	n := 0
	for _, m := range v.members {
		if !m.leaving && !m.forced {
			n++
		}
	}
	return targetVoters(n, v.limit)
}

// shrink drops even sets that a leave has left: 4 to 3 and 2 to 1.
func (p *autopilot) shrink(v pilotView, target int) (id election.ID, ok bool) {
	if v.config.N%2 == 1 || int(v.config.N) <= target {
		return id, false
	}
	worst := -1
	for i, voter := range v.config.Members() {
		if voter.ID == v.self {
			continue
		}
		if worst < 0 || voter.Priority < v.config.Voters[worst].Priority {
			worst = i
		}
	}
	if worst < 0 {
		return id, false
	}
	return v.config.Voters[worst].ID, true
}

// best gives the observer that should become a voter next, and how many could.
func (p *autopilot) best(now time.Duration, v pilotView) (best pilotMember, n int) {
	wait := stableFirst
	if p.reached {
		wait = stableLater
	}
	for _, m := range v.members {
		since, steady := p.steady[m.id]
		if v.config.Has(m.id) || m.observer || m.leaving || m.forced || !steady || now-since < wait {
			continue
		}
		if n++; n == 1 || m.priority > best.priority {
			best = m
		}
	}
	return best, n
}

// absent gives a voter that has been gone for long enough, when another can
// take its place or when three or more stay.
func (p *autopilot) absent(now time.Duration, v pilotView) (id election.ID, ok bool) {
	for _, voter := range v.config.Members() {
		since, gone := p.gone[voter.ID]
		if voter.ID == v.self || !gone || now-since < absentFor {
			continue
		}
		if _, n := p.best(now, v); n > 0 || v.config.N > 3 {
			return voter.ID, true
		}
	}
	return id, false
}

// soleVoterLeaves gives the successor of a goose that is the only voter and wants to leave.
func (p *autopilot) soleVoterLeaves(v pilotView) (best pilotMember, ok bool) {
	self := slices.IndexFunc(v.members, func(m pilotMember) bool { return m.id == v.self })
	if v.config.N != 1 || self < 0 || !v.members[self].leaving {
		return best, false
	}
	for _, m := range v.members {
		if m.id != v.self && m.alive && m.acks && !m.observer && !m.leaving && m.priority > 0 && (!ok || m.priority > best.priority) {
			best, ok = m, true
		}
	}
	return best, ok
}

// keepsLeader tells that a change of priority leaves somebody who may lead.
func (p *autopilot) keepsLeader(v pilotView, m pilotMember) bool {
	if m.priority > 0 {
		return true
	}
	return slices.ContainsFunc(v.config.Members(), func(o election.Voter) bool { return o.ID != m.id && o.Priority > 0 })
}
