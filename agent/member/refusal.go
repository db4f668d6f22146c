package member

import (
	"fmt"
	"net/netip"
	"time"

	"duckduckgoose/agent/election"
)

// Code says why a command was refused, or failed. It is part of the API: programs may
// compare it.
type Code string

// The codes, with the fields of a [Refusal] that they fill in.
const (
	HandoverUnderWay Code = "handover-under-way"
	NotGoose         Code = "not-goose"        // Agent and Addr: who is, if that is known
	NoSuccessor      Code = "no-successor"     // no other live voter may lead
	NotVoter         Code = "not-a-voter"      // Agent
	Unreachable      Code = "unreachable"      // Agent
	IsUnwell         Code = "unwell"           // Agent: its check fails
	NobodyTookOver   Code = "nobody-took-over" // within For
	NobodyResigned   Code = "resigned"         // nobody took over, and this agent resigned
	ElectionEnded    Code = "election-ended"
	FlockFrozen      Code = "frozen"        // For
	NoContestant     Code = "no-contestant" // Election: no other live voter contests it
	LeavingAlready   Code = "leaving"
	LastAgent        Code = "last-agent"
	NoGoose          Code = "no-goose"
	NoOtherLeader    Code = "no-other-leader"  // no other agent may be the goose
	CostsMajority    Code = "costs-majority"   // Have of the Need voters left would be alive
	IsSelf           Code = "is-self"          // Agent
	IsAlive          Code = "is-alive"         // Agent
	IsAliveAgain     Code = "is-alive-again"   // Agent
	ForcedAgain      Code = "forced-again"     // Agent
	VotersSilent     Code = "voters-silent"    // without Agent
	NoFlock          Code = "no-flock"         // bound to none yet
	MarkTaken        Code = "mark-taken"       // Mark: it is as high already
	MarkUncommitted  Code = "mark-uncommitted" // nobody knows whether it will be committed
	NoLease          Code = "no-lease"         // this agent leads, without a majority
	StampTooLarge    Code = "stamp-too-large"  // of a freeze: a clock is wrong
)

// Refusal is the error of a command that the rules refuse. It has values and no advice:
// the caller knows its user's words.
type Refusal struct {
	Code     Code
	Agent    election.ID
	Addr     netip.AddrPort
	Election string
	Have     int
	Need     int
	For      time.Duration
	Mark     uint64
}

// Error returns the code, and the agent that it is about.
func (r *Refusal) Error() string {
	if r.Agent.IsZero() {
		return string(r.Code)
	}
	return fmt.Sprintf("%s: agent %s", r.Code, r.Agent)
}

// refused returns the error of a code without values.
func refused(code Code) error { return &Refusal{Code: code} }

// explain turns an error of the rules into one of a command.
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
	case election.ErrUnwell:
		return &Refusal{Code: IsUnwell, Agent: to}
	case election.ErrHandingOver:
		return refused(HandoverUnderWay)
	}
	return err
}

// notGoose returns an error that names the goose, so that the command can be given
// there.
func (e *Election) notGoose() error {
	r := &Refusal{Code: NotGoose}
	if e.node == nil {
		return r
	}
	id, _, heardAt := e.node.Heard()
	if addr, ok := e.m.addresses.Addr(id); ok && id != e.m.id && e.m.host.Now() < heardAt+e.node.HeardLease() {
		r.Agent, r.Addr = id, addr
	}
	return r
}
