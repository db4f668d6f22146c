package main

import (
	"errors"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/keys"
	"duckduckgoose/agent/member"
)

// advice says which command helps, by the code of an error. The agent's own errors name no
// command, because a program that embeds an agent has none.
var advice = map[string]string{
	api.CodeDead:        "ddgoose simulate revive",
	api.CodeNoAgent:     "ddgoose members lists them",
	api.CodeNoElection:  "ddgoose elections lists them",
	api.CodeNoKeys:      "ddgoose keygen --out F makes one; give it with --key-file F",
	api.CodeKeyUnknown:  "ddgoose keys list shows those there are, ddgoose keys install adds one",
	api.CodeKeyMissing:  "ddgoose keys install, then again",
	api.CodeKeyInUse:    "ddgoose keys use another one first",
	api.CodeUncontested: "--election NAME makes the agent contest it",

	string(member.NoSuccessor):   "ddgoose members",
	string(member.NotVoter):      "ddgoose members shows who is",
	string(member.FlockFrozen):   "ddgoose thaw ends that, and ddgoose step-down --force hands over all the same",
	string(member.NoContestant):  "--election NAME makes an agent contest it",
	string(member.LastAgent):     "ddgoose leave --force does it all the same",
	string(member.NoGoose):       "--force leaves all the same",
	string(member.NoOtherLeader): "--force leaves all the same",
	string(member.CostsMajority): "--force leaves all the same",
	string(member.IsSelf):        "ddgoose leave takes it out",
	string(member.IsAlive):       "ddgoose leave, given to it, takes it out",
	string(member.IsAliveAgain):  "ddgoose leave, given to it, takes it out",
}

// withAdvice returns the text of an error, followed by the advice.
func withAdvice(err error) string {
	text := err.Error()
	var missing *keys.NoFileError
	if errors.As(err, &missing) {
		return text + " (ddgoose keygen --out " + missing.Path + " makes one)"
	}
	if help := advice[api.CodeOf(err)]; help != "" {
		text += " (" + help + ")"
	}
	return text
}
