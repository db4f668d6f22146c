package why

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// refused has, for each code, the text for people and the kind of the error; nil:
// [api.ErrConflict].
var refused = map[member.Code]struct {
	kind error
	text string
}{
	member.HandoverUnderWay: {nil, "a hand-over is already under way"},
	member.NotGoose:         {nil, "{self} is not the goose, and knows of none"},
	member.NoSuccessor:      {nil, "no other voter can take over: start another agent with a --priority above 0, or wait until it is a voter"},
	member.NotVoter:         {nil, "{agent} is not a voter of priority above 0 and cannot take over"},
	member.Unreachable:      {nil, "{agent} does not answer and cannot take over"},
	member.NobodyTookOver:   {api.ErrTimeout, "no other agent became the goose within two leases ({for})"},
	member.NobodyResigned:   {api.ErrTimeout, "no other agent took over in time; this one resigned, and the flock elects a goose"},
	member.ElectionEnded:    {nil, "the election has ended"},
	member.FlockFrozen:      {nil, "the flock is frozen for {thaws} more"},
	member.NoContestant:     {nil, "no other live voter contests election {election}: start another agent that does, or wait until it answers"},
	member.LeavingAlready:   {nil, "this agent is leaving already"},
	member.LastAgent:        {nil, "this is the last live agent: leaving ends the flock"},
	member.NoGoose:          {api.ErrNoMajority, "there is no goose that could remove this agent from the voters"},
	member.NoOtherLeader:    {nil, "no other agent can be the goose: start one that is neither a witness nor an observer, or wait until it answers"},
	member.CostsMajority: {
		api.ErrNoMajority, "only {have} of the {need} voters that would remain are alive: leaving would cost the flock its majority",
	},
	member.IsSelf:          {nil, "{agent} is this agent, the goose"},
	member.IsAlive:         {nil, "{agent} is alive"},
	member.IsAliveAgain:    {nil, "{agent} is alive again"},
	member.ForcedAgain:     {nil, "another force-leave of {agent} has begun"},
	member.VotersSilent:    {api.ErrNoMajority, "too few of the voters that would remain without {agent} answer: a majority of them must"},
	member.NoFlock:         {nil, "this agent has joined no flock yet: there is nothing to freeze"},
	member.MarkTaken:       {nil, "the mark is {mark} already: only a larger number can follow"},
	member.MarkUncommitted: {api.ErrNoMajority, "no majority of the voters has confirmed the mark in time; it may still become known, so do not act on it"},
	member.NoLease:         {api.ErrNoMajority, "{self} leads and hears no majority of the voters"},
	member.StampTooLarge:   {api.ErrInternal, "this machine's clock is too far off to freeze the flock: correct it"},
}

// Refused turns the error of a command into one for people. self is this agent's
// name; nameOf returns the names that it knows.
func Refused(err error, self string, nameOf func(election.ID) string) error {
	var r *member.Refusal
	if !errors.As(err, &r) {
		return err
	}
	is := refused[r.Code]
	if r.Code == member.NotGoose && !r.Agent.IsZero() {
		is.text = "{self} is not the goose; run this on {agent} ({addr})"
	}
	values := strings.NewReplacer("{self}", self, "{agent}", nameOf(r.Agent), "{addr}", r.Addr.String(), "{for}", r.For.String(), "{thaws}", ThawsIn(r.For),
		"{election}", r.Election, "{mark}", strconv.FormatUint(r.Mark, 10), "{have}", strconv.Itoa(r.Have), "{need}", strconv.Itoa(r.Need))
	return &api.Failure{Kind: cmp.Or(is.kind, api.ErrConflict), Code: string(r.Code), Text: values.Replace(is.text)}
}

// ThawsIn shows the rest of a freeze in whole minutes: a text that changed more often
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
