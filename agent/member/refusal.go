package member

import (
	"fmt"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// Code says why a command was refused, or did not succeed.
type Code uint8

// The codes, with the fields of a [Refusal] that they fill in.
const (
	HandoverUnderWay Code = 1 + iota
	NotGoose              // Agent and Addr: who is, if that is known
	NoSuccessor           // no other live voter may lead
	NotVoter              // Agent
	Unreachable           // Agent
	NobodyTookOver        // within For
	NobodyResigned        // nobody took over, and this agent resigned
	ElectionEnded
	FlockFrozen  // For
	NoContestant // Election: no other live voter contests it
	LeavingAlready
	LastAgent
	NoGoose
	NoOtherLeader // no other agent may be the goose
	CostsMajority // Have of the Need voters left would be alive
	IsSelf
	IsAlive       // Agent
	IsAliveAgain  // Agent
	ForcedAgain   // Agent
	VotersSilent  // without Agent
	NoFlock       // bound to no flock yet
	StampTooLarge // of a freeze: a clock is wrong
	NotBegun      // Election has not begun at this agent
)

// Refusal is the error of a command that the rules refuse. It carries values
// and no advice: the caller knows which words its user needs.
type Refusal struct {
	Code     Code
	Agent    election.ID
	Addr     netip.AddrPort
	Election string
	Have     int
	Need     int
	For      time.Duration
}

// Error tells the code and the values, for logs.
func (r *Refusal) Error() string {
	text := map[Code]string{
		HandoverUnderWay: "a hand-over is under way",
		NotGoose:         "this agent is not the goose",
		NoSuccessor:      "no other live voter may lead",
		NotVoter:         "not a voter that may lead",
		Unreachable:      "the agent does not answer",
		NobodyTookOver:   "no other agent took over in time",
		NobodyResigned:   "no other agent took over; this one resigned",
		ElectionEnded:    "the election has ended",
		FlockFrozen:      "the flock is frozen",
		NoContestant:     "no other live voter contests the election",
		LeavingAlready:   "this agent is leaving already",
		LastAgent:        "this is the last live agent",
		NoGoose:          "there is no goose",
		NoOtherLeader:    "no other agent may be the goose",
		CostsMajority:    "the flock would lose its majority",
		IsSelf:           "this agent is meant",
		IsAlive:          "the agent is alive",
		IsAliveAgain:     "the agent is alive again",
		ForcedAgain:      "the agent was forced out once more",
		VotersSilent:     "the voters that are left do not all answer",
		NoFlock:          "this agent belongs to no flock yet",
		StampTooLarge:    "the stamp of the freeze is out of bounds",
		NotBegun:         "the election has not begun at this agent",
	}[r.Code]
	if !r.Agent.IsZero() {
		text += fmt.Sprintf(" (agent %s)", r.Agent)
	}
	return text
}

// refused gives the error of a code that needs no values.
func refused(code Code) error { return &Refusal{Code: code} }

// explain turns a refusal of the rules into one of a command.
func (e *Election) explain(err error, to election.ID) error {
	switch err {
	case election.ErrNotLeader:
		return e.notGoose()
	case election.ErrNoSuccessor:
		return refused(NoSuccessor)
	case election.ErrNotVoter:
		return &Refusal{Code: NotVoter, Agent: to}
	case election.ErrUnreachable:
		return &Refusal{Code: Unreachable, Agent: to}
	case election.ErrHandingOver:
		return refused(HandoverUnderWay)
	}
	return err
}

// notGoose says who is the goose, so that the command can be given there.
func (e *Election) notGoose() error {
	r := &Refusal{Code: NotGoose}
	if e.node == nil {
		return r
	}
	id, _, heardAt := e.node.Heard()
	if addr, ok := e.m.addresses.Addr(id); ok && id != e.m.id && e.m.host.Now() < heardAt+e.m.set.Lease {
		r.Agent, r.Addr = id, addr
	}
	return r
}
