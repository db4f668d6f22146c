package api

import (
	"context"
	"encoding/json"
	"time"
)

// The verdicts of a Doctor.
const (
	VerdictHealthy    = "healthy"
	VerdictTrouble    = "trouble"
	VerdictCannotTell = "cannot_tell"
)

// The answers to a question that some agents may not have answered.
const (
	Yes     = "yes"
	No      = "no"
	Unknown = "unknown"
)

// Doctor is the health of a flock, gathered from all its agents: POST /v1/doctor.
type Doctor struct {
	Verdict  string    `json:"verdict"` // VerdictHealthy, VerdictTrouble or VerdictCannotTell
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings"`
	// CanElect tells whether a goose could be elected now: Yes, No or Unknown.
	CanElect string        `json:"can_elect"`
	Goose    string        `json:"goose"` // its name; "" for none
	Config   Config        `json:"config"`
	Deaths   []Death       `json:"deaths"` // for each voter: what if it dies
	Agents   []DoctorAgent `json:"agents"`
	Paths    []Path        `json:"paths"` // for each two agents, each direction
	Clocks   []ClockPair   `json:"clocks"`
	Measured float64       `json:"measured_ms"` // for how long
}

// Finding is one result of Doctor.
type Finding struct {
	Kind   string `json:"kind"` // FindingTrouble, FindingUnknown or FindingNote
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // "" where nothing needs to be done
}

// The kinds of findings. With trouble the verdict is trouble; else, with an unknown, it
// is cannot_tell.
const (
	FindingTrouble = "trouble"
	FindingUnknown = "unknown"
	FindingNote    = "note"
)

// Death tells what happens if one voter dies.
type Death struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	CanElect string `json:"can_elect"` // Yes, No or Unknown
	// Successors lists who could be elected then, the most likely one first.
	Successors []string `json:"successors"`
}

// DoctorAgent is one agent as a Doctor has found it.
type DoctorAgent struct {
	Name      string  `json:"name"`
	ID        string  `json:"id"`
	Addr      string  `json:"addr"`
	State     string  `json:"state"` // by gossip
	Voter     bool    `json:"voter"`
	Answered  bool    `json:"answered"`
	Via       string  `json:"via"`   // the agent that passed the questions on; "" when asked directly
	Error     string  `json:"error"` // why it did not answer
	Role      string  `json:"role"`
	Host      string  `json:"host"`
	Version   string  `json:"version"`
	Heartbeat float64 `json:"heartbeat_ms"`
	LeaseMS   float64 `json:"lease_ms"`
}

// Path is the way from one agent to another, in one direction.
type Path struct {
	From string   `json:"from"`
	To   string   `json:"to"`
	Sent int      `json:"sent"` // datagrams
	Loss *float64 `json:"loss"` // 0 to 1, in this direction alone; nil: unknown
	// LargeLoss is the loss among the largest datagrams.
	LargeLoss *float64 `json:"large_loss"`
	RTTMS     *float64 `json:"rtt_ms"` // there and back; nil: nothing came back
	Stream    string   `json:"stream"` // StreamOK, StreamUnanswered, StreamFailed, or "" for unknown
}

// The results of a test stream.
const (
	StreamOK         = "ok"
	StreamUnanswered = "unanswered" // it connects, and no answer comes
	StreamFailed     = "failed"
	StreamSmall      = "small" // full-size packets are lost, smaller ones pass
)

// ClockPair compares the rates of two agents' boot clocks.
type ClockPair struct {
	A      string  `json:"a"`
	B      string  `json:"b"`
	Faster float64 `json:"b_faster_percent"` // by how much B's clock runs faster than A's
	Unsure float64 `json:"unsure_percent"`   // Faster may be off by this much
}

// MarshalJSON writes empty lists as lists.
func (d Doctor) MarshalJSON() ([]byte, error) {
	type plain Doctor
	d.Findings, d.Deaths, d.Agents = filled(d.Findings), filled(d.Deaths), filled(d.Agents)
	d.Paths, d.Clocks, d.Config.Voters = filled(d.Paths), filled(d.Clocks), filled(d.Config.Voters)
	return json.Marshal(plain(d))
}

// MarshalJSON writes no successors as [].
func (d Death) MarshalJSON() ([]byte, error) {
	type plain Death
	d.Successors = filled(d.Successors)
	return json.Marshal(plain(d))
}

// DoctorRequest is the body of POST /v1/doctor.
type DoctorRequest struct {
	For string `json:"for,omitempty"` // how long to measure, a Go duration; "": 2s
}

// The bounds of DoctorRequest.For.
const (
	DoctorFor     = 2 * time.Second
	DoctorForMost = 20 * time.Second
)

// FlockCommands examines the flock and changes its keys, by asking all agents.
type FlockCommands interface {
	// Doctor measures for d.
	Doctor(ctx context.Context, d time.Duration) (Doctor, error)
	// Keys returns which agents have which keys.
	Keys(ctx context.Context) (Keys, error)
	// InstallKey gives every live agent a key to open datagrams with.
	InstallKey(ctx context.Context, key []byte) (Keys, error)
	// UseKey makes every live agent seal with a key that all have.
	UseKey(ctx context.Context, id string) (Keys, error)
	// RemoveKey takes away a key that no agent seals with.
	RemoveKey(ctx context.Context, id string) (Keys, error)
}

func (h *handler) doctor(ctx context.Context, in DoctorRequest) (Doctor, error) {
	d, err := duration("for", in.For)
	if err != nil {
		return Doctor{}, err
	}
	if d == 0 {
		d = DoctorFor
	}
	if d < time.Second || d > DoctorForMost {
		return Doctor{}, Input("field \"for\": %v: want 1s to %v", d, DoctorForMost)
	}
	return h.b.FlockCommands().Doctor(ctx, d)
}
