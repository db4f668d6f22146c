package api

import (
	"context"
	"encoding/json"
	"net/http"
)

// Why explains an agent's role, and why there is no goose where there is none:
// GET /v1/why.
type Why struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Goose   string `json:"goose"` // its name; "" while none is known
	Term    uint64 `json:"term"`
	Summary string `json:"summary"`
	// Reasons are what stands behind the summary, the weightiest first.
	Reasons []WhyReason `json:"reasons"`
	// Needed is how many voters are a majority, Reachable how many of them this
	// agent can count on as far as it can tell, itself included.
	Needed    int        `json:"needed"`
	Reachable int        `json:"reachable"`
	Voters    []WhyVoter `json:"voters"`
	// Stale tells for how long the agent's loop has not answered; then only what
	// it had published before is known. 0: it has answered.
	Stale float64 `json:"stale_ms"`
}

// WhyReason is one of the causes, and what to do about it.
type WhyReason struct {
	Kind   string `json:"kind"` // one of those below
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // "" where nothing needs to be done
}

// The kinds of reasons.
const (
	WhyLease       = "lease"        // a majority's promises make it the goose
	WhyFollows     = "follows"      // another is the goose
	WhyDead        = "dead"         // by simulation
	WhyLoop        = "loop"         // the loop does not answer
	WhyFounding    = "founding"     // the flock is not founded yet
	WhyJoining     = "joining"      // no flock was found yet
	WhyNoMajority  = "no_majority"  // too few voters can be reached
	WhyVoterGone   = "voter_gone"   // one voter cannot be reached; a majority can
	WhyRestarted   = "restarted"    // the wait after a restart
	WhyPromised    = "promised"     // a promise to another runs
	WhyLateWork    = "late_work"    // work goes on past its lease
	WhyHandedOut   = "handed_out"   // a deadline that work was handed still runs
	WhyStoodDown   = "stood_down"   // silent for a while after a lead without a majority
	WhyHandingOver = "handing_over" // work ends before another may lead
	WhyNoLease     = "no_lease"     // it leads, and a majority has not promised it anything
	WhyRefused     = "refused"      // a voter refuses its vote
	WhyNotVoter    = "not_voter"    // it has no vote, and cannot lead
	WhyWitness     = "witness"      // its priority is 0: it never leads
	WhyNobodyLeads = "nobody_leads" // no voter that can be reached may lead
	WhyElection    = "election"     // one is under way
	WhySpent       = "spent"        // forged messages have used up most of the terms, versions or generations
	WhyTooFar      = "too_far"      // a round trip takes longer than the lease bears
	WhyKeys        = "keys"         // an agent seals with other keys
	WhyFaults      = "faults"       // fault rules are in force
	WhyFrozen      = "frozen"       // maintenance: the goose changes on failure only
	WhyPreempted   = "preempted"    // another of a higher priority is to take over
	WhyPreempts    = "preempts"     // it is to take over for its priority
)

// WhyVoter is one voter as this agent sees it.
type WhyVoter struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Addr     string `json:"addr"`
	Priority uint8  `json:"priority"`
	State    string `json:"state"` // by gossip; "" while unknown
	// Counts tells whether this agent can count on it, as far as it can tell.
	Counts bool `json:"counts"`
	// Heard is how long ago its last datagram came; nil: none has, in this
	// life. Ducks send one another none but in elections.
	Heard *float64 `json:"heard_ms"`
	// Promised is for how long it has promised to elect nobody but PromisedTo; nil: unknown.
	Promised   *float64 `json:"promised_ms"`
	PromisedTo string   `json:"promised_to"` // a name; "" for unknown or nobody
	// Restarted is for how long it neither votes nor campaigns after its
	// restart; nil: unknown.
	Restarted *float64 `json:"restarted_ms"`
	Answer    string   `json:"answer"` // what it last said to a campaign of this agent; "": nothing lately
}

// MarshalJSON writes empty lists as lists.
func (w Why) MarshalJSON() ([]byte, error) {
	type plain Why
	w.Reasons, w.Voters = filled(w.Reasons), filled(w.Voters)
	return json.Marshal(plain(w))
}

// Explainer explains an agent's role. It answers also when the loop does not.
type Explainer interface {
	Why(ctx context.Context) (Why, error)
}

func (h *handler) why(w http.ResponseWriter, r *http.Request) error {
	why, err := h.b.Why(r.Context())
	return reply(w, why, err)
}
