package api

import (
	"context"
	"encoding/json"
	"net/http"
)

// Why explains an agent's role in one election, and why there is no goose where
// there is none: GET /v1/why and /v1/elections/NAME/why.
type Why struct {
	Election string `json:"election,omitempty"` // "": the default one
	Name     string `json:"name"`
	Role     string `json:"role"`
	Goose    string `json:"goose"` // its name; "" while none is known
	Term     uint64 `json:"term"`
	Summary  string `json:"summary"`
	// Reasons are the causes behind the summary, the most important first.
	Reasons []WhyReason `json:"reasons"`
	// Needed is how many voters are a majority; Reachable is how many this agent can count
	// on, including itself.
	Needed    int        `json:"needed"`
	Reachable int        `json:"reachable"`
	Voters    []WhyVoter `json:"voters"`
	// Stale is how long the agent's loop has not answered: then the answer is what it
	// published before. 0: the loop answers.
	Stale float64 `json:"stale_ms"`
}

// WhyReason is one cause, and what to do about it.
type WhyReason struct {
	Kind   string `json:"kind"` // one of the kinds below
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // "" if nothing needs to be done, or another reason has the same remedy
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
	WhyUncontested = "uncontested"  // it was not given this election's name: it votes, and does no work
	WhyWitness     = "witness"      // its priority is 0: it never leads
	WhyNobodyLeads = "nobody_leads" // no voter that can be reached may lead
	WhyUnwell      = "unwell"       // the check of its work fails: it does not lead
	WhyElection    = "election"     // one is under way
	WhySpent       = "spent"        // forged messages have used up most of the terms, versions or generations
	WhyTooFar      = "too_far"      // a round trip takes longer than the lease bears
	WhyKeys        = "keys"         // an agent seals with other keys
	WhyFaults      = "faults"       // fault rules are in force
	WhyFrozen      = "frozen"       // maintenance: planned changes of the goose are blocked
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
	// Counts: this agent can count on the voter, as far as it knows.
	Counts bool `json:"counts"`
	// Heard is how long ago its last datagram came; nil: none came since this agent
	// started. Ducks send each other datagrams only in elections.
	Heard *float64 `json:"heard_ms"`
	// Promised is how long it has promised to elect only PromisedTo; nil: unknown.
	Promised   *float64 `json:"promised_ms"`
	PromisedTo string   `json:"promised_to"` // a name; "" for unknown or nobody
	// Restarted is how long it neither votes nor campaigns after its restart; nil:
	// unknown.
	Restarted *float64 `json:"restarted_ms"`
	Answer    string   `json:"answer"` // its last answer to a campaign of this agent; "": none lately
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

func (h *handler) why(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	why, err := e.Why(r.Context())
	return reply(w, why, err)
}
