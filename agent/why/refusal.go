package why

import (
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// Refused gives the error of a command in the words of a person; nameOf gives the
// names that the agent knows.
func Refused(err error, nameOf func(election.ID) string) error {
	var r *member.Refusal
	if !errors.As(err, &r) {
		return err
	}
	kind, text := api.ErrConflict, ""
	name := nameOf(r.Agent)
	switch r.Code {
	case member.HandoverUnderWay:
		text = "a hand-over is already under way"
	case member.NotGoose:
		text = "this agent is not the goose, and knows none"
		if !r.Agent.IsZero() {
			text = fmt.Sprintf("%s is the goose, at %s", name, r.Addr)
		}
	case member.NoSuccessor:
		text = "no other live voter of priority above 0 can take over: start another agent, or wait until it is a voter"
	case member.NotVoter:
		text = name + " is not a voter of priority above 0 and cannot take over"
	case member.Unreachable:
		text = name + " does not answer and cannot take over"
	case member.NobodyTookOver:
		kind, text = api.ErrTimeout, fmt.Sprintf("no other agent became goose within two leases (%v)", r.For)
	case member.NobodyResigned:
		kind, text = api.ErrTimeout, "no other agent took over; this one resigned, and the flock elects anew"
	case member.ElectionEnded:
		text = "the election has ended"
	case member.FlockFrozen:
		text = fmt.Sprintf("the flock is frozen for %s more", ThawsIn(r.For))
	case member.NoContestant:
		text = fmt.Sprintf("no other live voter contests election %s: start another agent that does, or wait until it answers", r.Election)
	case member.LeavingAlready:
		text = "this agent is leaving already"
	case member.LastAgent:
		text = "this is the last live agent: leaving ends the flock"
	case member.NoGoose:
		kind, text = api.ErrNoMajority, "there is no goose to take this agent out of the voters"
	case member.NoOtherLeader:
		text = "no other agent can be the goose: start one that is no witness and no observer, or wait until it answers"
	case member.CostsMajority:
		kind = api.ErrNoMajority
		text = fmt.Sprintf("only %d of the %d voters that would be left are alive: leaving costs the flock its majority", r.Have, r.Need)
	case member.IsSelf:
		text = name + " is this agent, the goose"
	case member.IsAlive:
		text = name + " is alive"
	case member.IsAliveAgain:
		text = name + " is alive again"
	case member.ForcedAgain:
		text = name + " was forced out once more"
	case member.VotersSilent:
		kind, text = api.ErrNoMajority, "the voters that would be left without "+name+" do not all answer: a majority of them must"
	case member.NoFlock:
		text = "this agent is of no flock yet: there is nothing to freeze"
	case member.StampTooLarge:
		kind, text = api.ErrInternal, "the stamp of a freeze would be out of bounds: set this machine's clock right"
	}
	return &api.Failure{Kind: kind, Code: string(r.Code), Text: text}
}

// ThawsIn shows what is left of a freeze in whole minutes: a text that changes more often
// would wake every watcher.
func ThawsIn(left time.Duration) string {
	if left < time.Minute {
		return "less than a minute"
	}
	left = left.Round(time.Minute)
	if h := left / time.Hour; h > 0 {
		return fmt.Sprintf("%dh%02dm", h, (left%time.Hour)/time.Minute)
	}
	return fmt.Sprintf("%dm", left/time.Minute)
}
