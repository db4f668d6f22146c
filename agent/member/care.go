package member

import (
	"slices"
	"time"

	"duckduckgoose/agent/election"
)

// careAfter is for how many leases an election must have had no goose before an
// agent that does not contest it takes care of it.
const careAfter = 6

// takeCare lets this agent campaign for an election that it does not contest,
// when nobody else can and something is to be done for it. Afterwards it hands
// over, or resigns.
func (e *Election) takeCare(now time.Duration) {
	if goose, _ := e.Goose(now); !goose.IsZero() || e.goosedAt == 0 {
		e.goosedAt = now
	}
	e.endHeadStart(now)
	e.askConfig(now)
	if e.contested {
		return
	}
	care := e.node.Role() == election.Leader
	if !care && now-e.goosedAt >= careAfter*e.m.set.Lease {
		care = e.mayCare()
	}
	if care != e.cares {
		e.cares = care
		e.tellHolders()
	}
}

// askConfig asks the voters for the config of an election that this agent learnt
// about too late to know who votes in it. Its goose would show the config, but
// this agent may be the only one that can be the goose. The answer to a message
// with an old config is the newer one.
func (e *Election) askConfig(now time.Duration) {
	rec := e.node.Record()
	if rec.Config.N > 0 || now-e.goosedAt < careAfter*e.m.set.Lease || now < e.askedAt+contestsEvery {
		return
	}
	e.askedAt = now
	target := e.m.node().Record().Config
	for _, v := range target.Members() {
		if v.ID != e.m.id {
			e.send(&election.Message{Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: e.header(v.ID)})
		}
	}
}

// mayCare tells that this election needs care and that this agent is the one to
// give it: a voter of the flock comes before one that is to be removed.
func (e *Election) mayCare() bool {
	voters, target := e.node.Record().Config, e.m.node().Record().Config
	return e.needsCare() && (target.Has(e.m.id) || !slices.ContainsFunc(e.m.peers, func(p Peer) bool {
		return p.State == Alive && p.ID != e.m.id && target.Has(p.ID) && mayLead(&voters, p.ID)
	}))
}

// needsCare tells that no voter that may lead this election contests it, and that
// something is to be done all the same: an agent that contests it must become a
// voter, or its voters differ from the default election's. They must follow even
// without a contestant, or departures cost the majority.
func (e *Election) needsCare() bool {
	voters, target := e.node.Record().Config, e.m.node().Record().Config
	heirs := false
	for _, p := range e.m.peers {
		if does, _ := e.contestedBy(p.ID); does {
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

// endHeadStart lets this agent campaign once the first in line leads, or has had
// its time.
func (e *Election) endHeadStart(now time.Duration) {
	if e.notBefore == 0 {
		return
	}
	if goose, _ := e.Goose(now); now >= e.notBefore || !goose.IsZero() {
		e.notBefore = 0
		e.tellHolders()
	}
}
