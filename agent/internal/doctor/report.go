// Package doctor judges the health of a flock by what its agents report: it
// is pure, and decides nothing that an agent acts upon.
//
//	patient.Agents = append(patient.Agents, doctor.Agent{ID: id, Report: report, ...})
//	found := doctor.Examine(patient)
package doctor

import (
	"time"

	"duckduckgoose/agent/api"
)

// Report is what one agent tells of itself, and of what it has measured.
// Agents of several versions exchange it as JSON: fields are added, never changed.
type Report struct {
	Version   string        `json:"version"`
	Role      string        `json:"role"`
	Goose     string        `json:"goose"` // the id of the goose it knows; "" for none
	Term      uint64        `json:"term"`
	Config    Config        `json:"config"`
	Heartbeat time.Duration `json:"heartbeat_ns"`
	Lease     time.Duration `json:"lease_ns"`
	Voters    int           `json:"voters"` // how many it would keep as goose
	Observer  bool          `json:"observer"`
	Keys      []string      `json:"keys"` // ids, the sealing one first
	Bind      string        `json:"bind"`
	Loopback  bool          `json:"loopback"` // it is bound to this machine alone
	Host      string        `json:"host"`
	Boot      string        `json:"boot"`  // names one boot of one machine; "": unknown
	Files     uint64        `json:"files"` // how many it may open; 0: unknown
	Netem     string        `json:"netem"`
	Work      bool          `json:"work"` // somebody acts there for the goose, or waits to
	Well      *bool         `json:"well"` // nil: no check
	// Waits is for how long it grants and campaigns nothing yet: it has just started.
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

// Path is what an agent has measured towards another. Its sets have a bit for
// each probe.
type Path struct {
	To       string        `json:"to"`
	Sent     uint64        `json:"sent"`
	Heard    uint64        `json:"heard"`    // there, as far as answers have told
	Answered uint64        `json:"answered"` // heard back here
	Large    uint64        `json:"large"`    // those of the largest size
	RTT      time.Duration `json:"rtt_ns"`   // the median; 0: nothing came back
	Clock    *Clock        `json:"clock,omitempty"`
}

// Heard are another agent's probes that have come.
type Heard struct {
	From   string `json:"from"`
	Probes uint64 `json:"probes"`
}

// Clock compares two boot clocks.
type Clock struct {
	Faster float64       `json:"faster"` // the other's, as a part of 1
	Unsure float64       `json:"unsure"`
	Over   time.Duration `json:"over_ns"`
}

// Agent is one agent of the flock as the asking one knows it.
type Agent struct {
	ID, Name, Addr string
	State          string  // by gossip: api.StateAlive or its like
	Report         *Report // nil: none came
	Via            string  // who passed the questions on
	Error          string  // why no report came
	Unreached      bool    // it could not even be sent the question
}

// Patient is a flock to be examined.
type Patient struct {
	Self     string  // the id of the agent that asks
	Agents   []Agent // by name, this one included
	Measured time.Duration
}
