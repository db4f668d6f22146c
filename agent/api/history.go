package api

import (
	"encoding/json"
	"net/http"
	"time"
)

// Why a goose period ended: Period.Ended.
const (
	EndedRunning   = "running"    // it has not
	EndedLeaseLost = "lease-lost" // no majority of the voters answered within a lease
	EndedStepDown  = "step-down"  // somebody asked for it, or the agent was stopped
	EndedPreempted = "preempted"  // by an agent of higher priority
	EndedUnwell    = "unwell"     // the check of its work failed
	EndedNoWork    = "no-work"    // work waited elsewhere and not here
	EndedLeft      = "left"       // the agent left the flock
	EndedDied      = "died"       // the process or its machine ended
	EndedRecovered = "recovered"  // by ddgoose recover, after a majority was lost
	EndedUnknown   = "unknown"
)

// Time is a moment of the wall clock, in milliseconds of Unix time. In JSON it is a text
// as RFC 3339 has it, in UTC, with milliseconds.
type Time int64

const timeForm = "2006-01-02T15:04:05.000Z07:00"

// Wall returns the moment for the package time.
func (t Time) Wall() time.Time { return time.UnixMilli(int64(t)) }

// String returns the text that JSON has.
func (t Time) String() string { return t.Wall().UTC().Format(timeForm) }

// MarshalText writes RFC 3339 with milliseconds.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	*t = Time(at.UnixMilli())
	return err
}

// History is the answer of GET /v1/history: the last 1,000 goose periods that an agent
// saw or was told of, and the gaps between them, newest first. Times are its own clock's
// where it saw a change, else those of the agent that told it.
type History struct {
	Periods []Period `json:"periods"`
	Gaps    []Gap    `json:"gaps"`
}

// MarshalJSON writes empty lists as lists.
func (h History) MarshalJSON() ([]byte, error) {
	type plain History
	h.Periods, h.Gaps = filled(h.Periods), filled(h.Gaps)
	return json.Marshal(plain(h))
}

// Period is the time in which one agent was the goose under one token.
type Period struct {
	Token  uint64 `json:"token"`
	Name   string `json:"name"`
	ID     string `json:"id"`
	From   Time   `json:"from"`
	To     *Time  `json:"to"`               // nil: it goes on
	Ended  string `json:"ended"`            // EndedRunning and its like
	Reason string `json:"reason,omitempty"` // more of that, for people
}

// Gap is a time without a goose.
type Gap struct {
	From Time  `json:"from"`
	To   *Time `json:"to"` // nil: it goes on
}

func (h *handler) history(e ElectionBackend, w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, e.History())
	return nil
}
