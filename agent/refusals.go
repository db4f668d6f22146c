package agent

import (
	"errors"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// explained gives the error of a command in the words of a person, with the
// names that this agent knows.
func (l *life) explained(err error) error {
	var r *member.Refusal
	if !errors.As(err, &r) {
		return err
	}
	name := l.nameOf(r.Agent)
	switch r.Code {
	case member.HandoverUnderWay:
		return api.Conflict("a hand-over is already under way")
	case member.NotGoose:
		if r.Agent.IsZero() {
			return api.Conflict("this agent is not the goose, and knows none")
		}
		return api.Conflict("%s is the goose, at %s", name, r.Addr)
	case member.NoSuccessor:
		return api.Conflict("no other live voter of priority above 0 can take over: start another agent, or wait until it is a voter (ddgoose members)")
	case member.NotVoter:
		return api.Conflict("%s is not a voter of priority above 0 and cannot take over (ddgoose members shows who is)", name)
	case member.Unreachable:
		return api.Conflict("%s does not answer and cannot take over", name)
	case member.NobodyTookOver:
		return api.Timeout("no other agent became goose within two leases (%v)", r.For)
	case member.NobodyResigned:
		return api.Timeout("no other agent took over; this one resigned, and the flock elects anew")
	case member.ElectionEnded:
		return api.Conflict("the election has ended")
	case member.FlockFrozen:
		return api.Conflict("the flock is frozen for %s more (ddgoose thaw ends that, and ddgoose step-down --force hands over all the same)", thawsIn(r.For))
	case member.NoContestant:
		return api.Conflict("no other live voter contests election %s: start another agent with --election %s, or wait until it answers", r.Election, r.Election)
	case member.LeavingAlready:
		return api.Conflict("this agent is leaving already")
	case member.LastAgent:
		return api.Conflict("this is the last live agent: leaving ends the flock (ddgoose leave --force does it all the same)")
	case member.NoGoose:
		return api.NoMajority("there is no goose to take this agent out of the voters (--force leaves all the same)")
	case member.NoOtherLeader:
		return api.Conflict("no other agent can be the goose: start one that is no witness and no observer, or wait until it answers (--force leaves all the same)")
	case member.CostsMajority:
		return api.NoMajority("only %d of the %d voters that would be left are alive: leaving costs the flock its majority (--force leaves all the same)", r.Have, r.Need)
	case member.IsSelf:
		return api.Conflict("%s is this agent, the goose: ddgoose leave takes it out", name)
	case member.IsAlive:
		return api.Conflict("%s is alive: ddgoose leave, given to it, takes it out", name)
	case member.IsAliveAgain:
		return api.Conflict("%s is alive again: ddgoose leave, given to it, takes it out", name)
	case member.ForcedAgain:
		return api.Conflict("%s was forced out once more", name)
	case member.VotersSilent:
		return api.NoMajority("the voters that would be left without %s do not all answer: a majority of them must", name)
	case member.NoFlock:
		return api.Conflict("this agent is of no flock yet: there is nothing to freeze")
	case member.StampTooLarge:
		return errors.New("the stamp of a freeze would be out of bounds: set this machine's clock right")
	}
	return err
}

// nameOrNone is nameOf, "" for nobody.
func (l *life) nameOrNone(id election.ID) string {
	if id.IsZero() {
		return ""
	}
	return l.nameOf(id)
}
