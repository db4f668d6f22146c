// Package api is the interface to local programs: the JSON types, the HTTP server behind
// the unix socket and --http, and the socket file itself.
package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"
)

// The roles of an agent. It is goose only while its lease is valid at the moment of the
// answer.
const (
	RoleGoose     = "goose"
	RoleDuck      = "duck"
	RoleCandidate = "candidate"
	RoleDead      = "dead" // simulated death
)

// The states a member can have.
const (
	StateAlive   = "alive"
	StateSuspect = "suspect" // alive by gossip, but elections get no answer
	StateFailed  = "failed"
	StateLeft    = "left"
)

const (
	// FaultsInForce begins the warning that an agent has fault rules.
	FaultsInForce = "fault rules are in force: "
	// NoMatch begins the warning about fault rules that name no known agent.
	NoMatch = "no known agent matches "
)

// Status is what an agent knows at one moment: GET /v1/status.
type Status struct {
	Seq        uint64            `json:"seq"` // grows with every change; restarts with the process
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Addr       string            `json:"addr"`
	Flock      string            `json:"flock"`
	FlockID    string            `json:"flock_id"`           // "" before founding
	Election   string            `json:"election,omitempty"` // "": the default one
	Role       string            `json:"role"`
	Voter      bool              `json:"voter"`
	Priority   uint8             `json:"priority"`
	Work       bool              `json:"work"` // work for the goose runs or waits here
	Well       *bool             `json:"well"` // the check of that work passes; nil: there is no check
	Holders    []WorkHolder      `json:"holders"`
	Generation uint64            `json:"generation"`
	Term       uint64            `json:"term"`  // this agent's own
	Token      uint64            `json:"token"` // the named goose's; 0 when Goose is nil
	Goose      *Goose            `json:"goose"` // nil when none was heard for a lease
	Since      *Time             `json:"since"` // when this goose period began, as this agent saw it; nil: no goose
	Lease      Lease             `json:"lease"`
	Config     Config            `json:"config"`
	Heartbeat  float64           `json:"heartbeat_ms"`
	LeaseMS    float64           `json:"lease_ms"`
	AutoLease  *AutoLease        `json:"auto_lease,omitempty"` // nil: the lease is fixed
	Alive      int               `json:"members_alive"`
	Netem      string            `json:"netem"` // the fault rules in force, "" when none
	Warnings   []string          `json:"warnings"`
	Counters   map[string]uint64 `json:"counters"`
	Uptime     float64           `json:"uptime_s"`
	Version    string            `json:"version"`
}

// AutoLease says that the agent chooses its lease itself: then heartbeat_ms and lease_ms
// are what it chose, and at a duck lease_ms is what its goose asks for.
type AutoLease struct {
	Why string `json:"why"` // why the goose chose it; "" at a duck
}

// MarshalJSON writes empty lists as [], so that readers need not handle null.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Config.Voters = filled(s.Config.Voters)
	s.Warnings, s.Holders = filled(s.Warnings), filled(s.Holders)
	if s.Counters == nil {
		s.Counters = map[string]uint64{}
	}
	return json.Marshal(plain(s))
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// WorkHolder is work that runs for the goose at this agent, or waits to.
type WorkHolder struct {
	Kind  string    `json:"kind"`  // run, container NAME, unit NAME, vip, Lead, or another name
	Ends  string    `json:"ends"`  // what ends the work; "": unknown
	Since time.Time `json:"since"` // when it connected
}

// Goose is the leader, as this agent last heard it.
type Goose struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	Addr    string  `json:"addr"`
	Term    uint64  `json:"term"`
	HeardMS float64 `json:"heard_ms"` // since the last heartbeat; 0 at the goose itself
	// Tags are the goose's, as --tag gave them.
	Tags map[string]string `json:"tags"`
}

// MarshalJSON writes no tags as {}.
func (g Goose) MarshalJSON() ([]byte, error) {
	type plain Goose
	if g.Tags == nil {
		g.Tags = map[string]string{}
	}
	return json.Marshal(plain(g))
}

// Lease is about the answering agent's own goose period.
type Lease struct {
	Valid           bool    `json:"valid"`
	RemainingMS     float64 `json:"remaining_ms"`      // on other machines: count from when you SENT the request
	UntilBoottimeNS int64   `json:"until_boottime_ns"` // CLOCK_BOOTTIME of this machine
}

// Config is the set of voters an agent knows.
type Config struct {
	Term    uint64  `json:"term"`
	Version uint64  `json:"version"`
	Voters  []Voter `json:"voters"`
}

// Voter is one member of a Config.
type Voter struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // "" while unknown
	Priority uint8  `json:"priority"`
}

// Member is one agent of the flock as gossip shows it.
type Member struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Addr     string            `json:"addr"`
	State    string            `json:"state"`
	Role     string            `json:"role"` // goose or duck
	Voter    bool              `json:"voter"`
	Priority uint8             `json:"priority"`
	Work     bool              `json:"work"` // work for the default election's goose runs or waits there
	Well     *bool             `json:"well"` // nil: it has no check
	Tags     map[string]string `json:"tags"`
	Version  string            `json:"version"` // of its program; "": unknown
	RTTMS    *float64          `json:"rtt_ms"`  // nil while unknown
}

// MarshalJSON writes no tags as {}.
func (m Member) MarshalJSON() ([]byte, error) {
	type plain Member
	if m.Tags == nil {
		m.Tags = map[string]string{}
	}
	return json.Marshal(plain(m))
}

// Members is the answer of GET /v1/members.
type Members struct {
	Members []Member `json:"members"`
}

// Netem is the fault rules in force: GET /v1/netem.
type Netem struct {
	Rules     string   `json:"rules"` // as they print; "" when none
	ExpiresIn *float64 `json:"expires_in_s"`
	Seed      uint64   `json:"seed"`
}

// NetemRequest is the body of PUT /v1/netem.
type NetemRequest struct {
	Rules string `json:"rules"`
	For   string `json:"for,omitempty"` // a Go duration; "" for ever
}

// StepDownRequest is the body of POST /v1/step-down.
type StepDownRequest struct {
	To    string `json:"to,omitempty"`    // a voter's name; "" lets the goose choose
	Force bool   `json:"force,omitempty"` // although the flock is frozen
}

// StepDownReply names the new goose.
type StepDownReply struct {
	Goose string `json:"goose"`
}

// LeaveRequest is the body of POST /v1/leave.
type LeaveRequest struct {
	Force bool `json:"force,omitempty"`
}

// ForceLeaveRequest is the body of POST /v1/force-leave.
type ForceLeaveRequest struct {
	Name string `json:"name"`
}

// JoinRequest is the body of POST /v1/join.
type JoinRequest struct {
	Addrs []string `json:"addrs"`
}

// JoinReply is how many addresses answered, not counting this agent.
type JoinReply struct {
	Joined int `json:"joined"`
}

// DeathRequest is the body of POST /v1/simulate/death.
type DeathRequest struct {
	For string `json:"for,omitempty"` // a Go duration; "" until revived
}

// Error is the body of every answer that is not 2xx.
type Error struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"` // for programs; "": see the HTTP status
}

// ErrorOf returns the body for an error.
func ErrorOf(err error) Error { return Error{Error: err.Error(), Code: CodeOf(err)} }

// LeadEvent is one line from the agent to a holder over POST /v1/lead: a deadline
// (Token, Until, Lease), a stop (Stop, Token), Drained, or Waiting.
type LeadEvent struct {
	Token uint64 `json:"token,omitempty"`
	// Until is the deadline in CLOCK_BOOTTIME of this machine, in nanoseconds.
	Until int64 `json:"until_boottime_ns,omitempty"`
	// Lease is the length of a whole lease in nanoseconds: unrenewed work stops
	// when 40 % of it are left.
	Lease int64 `json:"lease_ns,omitempty"`
	// Mark is the election's committed mark when the deadline was handed out.
	Mark uint64 `json:"mark,omitempty"`
	// Stop tells the holder to stop its work, and why: StopLost, StopSteppedDown or
	// StopStopped. After a planned stop (the last two) renewals go on until the holder has
	// drained, or for the agent's grace.
	Stop string `json:"stop,omitempty"`
	// Drained echoes a drain that the agent has recorded. A deadline that comes between
	// the drain and its echo does not bind the agent, so no work may act by it. A later
	// deadline does, and has the same token if the goose period is the same.
	Drained uint64 `json:"drained,omitempty"`
	// Waiting says why a holder has no deadline. It is sent first, unless a deadline is,
	// and at each change.
	Waiting *Waiting `json:"waiting,omitempty"`
}

// Waiting is the reason why a holder waits. If all fields are empty, there is no goose.
type Waiting struct {
	Goose string `json:"goose,omitempty"` // the agent that is the goose
	Here  string `json:"here,omitempty"`  // any other reason, at this agent
	PID   int    `json:"pid,omitempty"`   // the process that is the reason
}

// String returns the text for people.
func (w Waiting) String() string {
	switch {
	case w.Goose != "":
		return w.Goose + " is the goose"
	case w.PID != 0:
		return fmt.Sprintf("%s (process %d)", w.Here, w.PID)
	}
	return cmp.Or(w.Here, "there is no goose")
}

// Why a holder must stop.
const (
	StopLost        = "lease_lost"
	StopSteppedDown = "stepped_down"
	StopStopped     = "stopped"
)

// LeadRequest is one line of a holder in the body of POST /v1/lead.
type LeadRequest struct {
	// Drained says that all work under this token has ended.
	Drained uint64 `json:"drained,omitempty"`
	// StepDown asks, together with Drained, for a hand-over: the work ended by itself.
	StepDown bool `json:"step_down,omitempty"`
	// Leave says, together with Drained, that this holder wants no more deadlines, and
	// that the goose may stay where it is.
	Leave bool `json:"leave,omitempty"`
	// Heard says that the holder has read a deadline under this token: see AcksQuery.
	Heard uint64 `json:"heard,omitempty"`
	// Late says that work under this token ran past its deadline; the agent should not
	// campaign until Drained.
	Late uint64 `json:"late,omitempty"`
}

// Millis returns a duration as JSON has it, in milliseconds.
func Millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}
