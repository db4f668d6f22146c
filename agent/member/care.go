package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// careAfter is how many leases an election must be without a goose before an agent that
// does not contest it takes care of it.
const careAfter = 6

// takeCare lets this agent campaign in an election that it does not contest, if no other
// agent can lead and the election needs a change. Afterwards this agent hands over, or
// resigns.
func (e *Election) takeCare(now time.Duration) {
	e.endHeadStart(now)
	if e.contested {
		return
	}
	care := e.node.Role() == election.Leader
	if !care && now-e.goosedAt >= careAfter*e.span() {
		care = e.mayCare()
	}
	if care != e.cares {
		e.cares = care
		e.tellHolders()
	}
}

// mayCare reports whether this election needs care, and this agent should give it. A
// voter of the flock is preferred to one that is about to be removed.
func (e *Election) mayCare() bool {
	voters, target := e.node.Record().Config, e.m.node().Record().Config
	return e.needsCare() && (target.Has(e.m.id) || !slices.ContainsFunc(e.m.peers, func(p Peer) bool {
		return p.State == Alive && p.ID != e.m.id && target.Has(p.ID) && mayLead(&voters, p.ID)
	}))
}

// needsCare reports whether no voter that may lead contests this election, and it needs
// a change: an agent that contests it must become a voter, or its voters differ from the
// default election's. The voters must follow even without a contestant, or departures
// cost the majority.
func (e *Election) needsCare() bool {
	voters, target := e.node.Record().Config, e.m.node().Record().Config
	heirs := false
	for _, p := range e.m.peers {
		if does, _ := e.ContestedBy(p.ID); does {
			if mayLead(&voters, p.ID) {
				return false
			}
			heirs = heirs || mayLead(&target, p.ID)
		}
	}
	return heirs || target.N > 0 && !sameVoters(&voters, &target)
}

func mayLead(c *election.Config, id election.ID) bool {
	i := c.Index(id)
	return i >= 0 && c.Voters[i].Priority > 0
}

func sameVoters(a, b *election.Config) bool {
	return slices.EqualFunc(a.Members(), b.Members(), func(v, w election.Voter) bool { return v.ID == w.ID })
}

// endHeadStart lets this agent campaign once the first in line leads, or had its time.
func (e *Election) endHeadStart(now time.Duration) {
	if e.notBefore == 0 {
		return
	}
	if goose, _ := e.Goose(now); now >= e.notBefore || !goose.IsZero() {
		e.notBefore = 0
		e.tellHolders()
	}
}
