// Package doctor judges the health of a flock by the reports of its agents. It
// does no I/O, and no agent acts on its findings.
//
//	flock.Agents = append(flock.Agents, doctor.Agent{ID: id, Report: report, ...})
//	found := doctor.Examine(flock)
package doctor

import (
	"time"

	"duckduckgoose/agent/api"
)

// Report is what one agent says about itself and its measurements. Agents of
// several versions exchange it as JSON: fields are added, never changed.
type Report struct {
	Version   string        `json:"version"`
	Role      string        `json:"role"`
	Goose     string        `json:"goose"` // the id of the goose it knows; "" for none
	Term      uint64        `json:"term"`
	Config    Config        `json:"config"`
	Heartbeat time.Duration `json:"heartbeat_ns"`
	Lease     time.Duration `json:"lease_ns"`
	Voters    int           `json:"voters"` // its --voters
	Observer  bool          `json:"observer"`
	Keys      []string      `json:"keys"` // ids, the sealing one first
	Bind      string        `json:"bind"`
	Loopback  bool          `json:"loopback"` // it is bound to this machine alone
	Host      string        `json:"host"`
	Boot      string        `json:"boot"`  // names one boot of one machine; "": unknown
	Files     uint64        `json:"files"` // how many it may open; 0: unknown
	Netem     string        `json:"netem"`
	EndsNetem string        `json:"ends_netem"` // the command, if it is not netem clear on that agent
	Work      bool          `json:"work"`       // somebody acts there for the goose, or waits to
	Well      *bool         `json:"well"`       // nil: no check
	// Waits is for how much longer it neither votes nor campaigns after its start.
	Waits time.Duration `json:"waits_ns"`

	Paths   []Path            `json:"paths"`
	Heard   []Heard           `json:"heard"`
	Streams map[string]string `json:"streams"` // by id: api.StreamOK or its like
}

// Config is the set of voters that an agent knows, and Voter one of them.
type (
	Config = api.Config
	Voter  = api.Voter
)

// Path is what an agent has measured of the path to another. Each uint64 but RTT
// is a set with a bit for each probe.
type Path struct {
	To       string        `json:"to"`
	Sent     uint64        `json:"sent"`
	Heard    uint64        `json:"heard"`    // arrived there, according to its answers
	Answered uint64        `json:"answered"` // whose answer arrived here
	Large    uint64        `json:"large"`    // those of the largest size
	RTT      time.Duration `json:"rtt_ns"`   // the median; 0: nothing came back
	Clock    *Clock        `json:"clock,omitempty"`
}

// Heard says which probes of another agent arrived here.
type Heard struct {
	From   string `json:"from"`
	Probes uint64 `json:"probes"`
}

// Clock compares two boot clocks.
type Clock struct {
	Faster float64       `json:"faster"` // how much faster the other runs; 0.01 is 1 %
	Unsure float64       `json:"unsure"`
	Over   time.Duration `json:"over_ns"`
}

// Agent is one agent of the flock, as the examining agent knows it.
type Agent struct {
	ID, Name, Addr string
	State          string  // by gossip: api.StateAlive or its like
	Report         *Report // nil: none came
	Via            string  // the agent that passed the questions on; "": none
	Error          string  // why no report came
	Unreached      bool    // the question could not be sent to it
}

// Flock is a flock to be examined.
type Flock struct {
	Self     string  // the id of the agent that asks
	Agents   []Agent // by name, this one included
	Measured time.Duration
}
