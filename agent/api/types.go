// Package api is the agent's face to local programs: the JSON types of the
// public contract, the HTTP server behind the unix socket and --http, and the
// socket file itself.
package api

import "encoding/json"

// The roles an agent can have. Goose only while its lease is valid at the
// moment of the answer.
const (
	RoleGoose     = "goose"
	RoleDuck      = "duck"
	RoleCandidate = "candidate"
	RoleDead      = "dead" // simulated death
)

// The states a member can have.
const (
	StateAlive   = "alive"
	StateSuspect = "suspect"
	StateFailed  = "failed"
	StateLeft    = "left"
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
	Generation uint64            `json:"generation"`
	Term       uint64            `json:"term"`  // this agent's own
	Token      uint64            `json:"token"` // the named goose's; 0 when Goose is nil
	Goose      *Goose            `json:"goose"` // nil when none was heard for a lease
	Lease      Lease             `json:"lease"`
	Config     Config            `json:"config"`
	Heartbeat  float64           `json:"heartbeat_ms"`
	LeaseMS    float64           `json:"lease_ms"`
	Alive      int               `json:"members_alive"`
	Netem      string            `json:"netem"` // the fault rules in force, "" when none
	Warnings   []string          `json:"warnings"`
	Counters   map[string]uint64 `json:"counters"`
	Uptime     float64           `json:"uptime_s"`
	Version    string            `json:"version"`
}

// MarshalJSON writes empty lists as lists: readers need not expect null.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Config.Voters = filled(s.Config.Voters)
	s.Warnings = filled(s.Warnings)
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

// Goose names the leader as an agent last heard it.
type Goose struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	Addr    string  `json:"addr"`
	Term    uint64  `json:"term"`
	HeardMS float64 `json:"heard_ms"` // since the last heartbeat; 0 at the goose itself
}

// Lease speaks of the answering agent's own goose period.
type Lease struct {
	Valid           bool    `json:"valid"`
	RemainingMS     float64 `json:"remaining_ms"`      // other machines count it from when they SENT the request
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
	Tags     map[string]string `json:"tags"`
	RTTMS    *float64          `json:"rtt_ms"` // nil while unknown
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

// JoinReply tells how many addresses answered, oneself not counted.
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
	Code  string `json:"code,omitempty"` // for programs; "": the status says it all
}

// ErrorOf gives the body that tells of an error.
func ErrorOf(err error) Error { return Error{Error: err.Error(), Code: CodeOf(err)} }

// LeadEvent is one line the agent streams to a holder over POST /v1/lead: a
// deadline (Token, Until, Lease), a stop (Stop, Token), or Drained.
type LeadEvent struct {
	Token uint64 `json:"token,omitempty"`
	// Until is the deadline in CLOCK_BOOTTIME of this machine, in nanoseconds.
	Until int64 `json:"until_boottime_ns,omitempty"`
	// Lease is the length of a whole lease in nanoseconds: unrenewed work stops
	// when 40 % of it are left.
	Lease int64 `json:"lease_ns,omitempty"`
	// Stop tells the holder to stop its work, and why: StopLost, StopSteppedDown or
	// StopStopped. After a planned stop (the latter two) renewals go on until
	// the holder has drained or the agent's grace has passed.
	Stop string `json:"stop,omitempty"`
	// Drained repeats what the holder said, once the agent has booked it. A
	// deadline that comes between the two was on its way already: the agent is
	// no longer bound by it, so nobody may act by it. One that comes after
	// is handed out anew, with the same token when the goose period is the same.
	Drained uint64 `json:"drained,omitempty"`
}

// Why a holder must stop.
const (
	StopLost        = "lease_lost"
	StopSteppedDown = "stepped_down"
	StopStopped     = "stopped"
)

// LeadRequest is one line a holder writes into the body of POST /v1/lead.
type LeadRequest struct {
	// Drained says that all work under this token has ended.
	Drained uint64 `json:"drained,omitempty"`
	// StepDown asks, together with Drained, for a hand-over: the work ended by itself.
	StepDown bool `json:"step_down,omitempty"`
	// Late says that work under this token went on past its deadline, and
	// that the agent should not campaign until Drained follows.
	Late uint64 `json:"late,omitempty"`
}
