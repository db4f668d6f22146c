// Package why explains an agent's role in an election to people, from what the agent
// knows. No agent acts on it.
//
//	source.Gather(&facts, now)
//	why.AskVoters(ctx, gossip, &facts)
//	explanation := why.Explain(facts)
package why

import "time"

// Facts are what an agent knows at one moment. Durations count from that moment.
type Facts struct {
	Election string // "": the default one
	Name     string
	Role     string // api.RoleGoose or its like
	Term     uint64
	Lease    time.Duration // the length of a whole one

	Goose     string        // the name of the goose it knows; "" for none
	Heard     time.Duration // since the goose's last heartbeat
	LeaseLeft time.Duration // of its own lease

	Dead     bool
	Stale    time.Duration // for how long the loop has not answered; 0: it has
	Keys     string        // what it met of an agent with other keys; "": nothing
	Founding string        // how far the founding is; "": no founding is under way
	Missing  bool          // agents that are to found the flock have not been seen yet
	Bound    bool          // it takes part in the election
	Spent    string        // the number that is nearly used up, as election.Record.Spent says it
	Join     []string      // what it calls, this agent left out

	Observer    bool
	Uncontested bool          // it was not given the name of this election: it votes, and does no work
	Leads       bool          // it leads its term, with a lease or without
	HandingOver bool          // a planned end of its lead is under way
	Working     int           // holders that work for the goose here
	Waits       time.Duration // it has restarted, and neither votes nor campaigns for so long
	Promised    time.Duration // for how long it elects nobody but PromisedTo
	PromisedTo  string
	Silent      time.Duration // it stood down without a majority, and does not campaign for so long
	HandedOut   time.Duration // for how long work may go on by a deadline that it was handed
	Late        []string      // who works past a deadline
	Asked       bool          // it has asked for votes within the last leases
	Gooseless   time.Duration // since a goose was last known
	Unwell      string        // why its check fails; "": it does not, or there is none
	Netem       string        // the fault rules in force
	EndsNetem   string        // the command that ends them
	Frozen      time.Duration // for how long planned changes of the goose are blocked
	// Heir is the agent that takes over from this goose because of its priority.
	Heir Heir
	// PreemptAfter is how long this agent wants to be steady before it takes over
	// from a goose of a lower priority; 0: it does not.
	PreemptAfter time.Duration

	Voters []Voter
}

// Voter is what an agent knows of one voter.
type Voter struct {
	Name, ID, Addr string
	Self           bool
	Priority       uint8
	State          string        // by gossip; "" while unknown
	Unwell         bool          // by gossip: its check fails
	Uncontested    bool          // it was not given the name of this election
	Silent         bool          // it does not answer, as far as the goose or this agent knows
	Heard          time.Duration // since its last datagram; below 0: none has come
	Unanswered     time.Duration // for how long it has said nothing although it was asked
	TooFar         time.Duration // its round trip, if that is longer than the lease; 0: it is not
	// Promise is for how long its promise to this agent, the leader, counts; 0: not.
	Promise time.Duration
	// Answer is its answer to the last campaign; nil: none lately.
	Answer *Answer
	// Told is what it said about itself when it was asked; nil: nothing.
	Told *Told
}

// Heir is an agent of a higher priority that asks to take over. No name: nobody does.
type Heir struct {
	Name     string
	Priority uint8
	After    time.Duration // how long it must be a steady voter before
	In       time.Duration // until then; 0: as soon as may be
	Asked    bool          // it was asked lately, which is what In waits for
}

// Answer is a voter's answer to a campaign.
type Answer struct {
	Granted bool
	Reason  string        // why not, for people
	Until   time.Duration // after this long it may answer otherwise; 0: unknown
}

// Told is what an agent tells others about itself. Agents of several versions
// exchange it as JSON: fields are added, never changed.
type Told struct {
	// Election is the one that the question names. An old agent leaves it empty and
	// answers for the default election.
	Election   string        `json:"election,omitempty"`
	Promised   time.Duration `json:"promised_ns"`
	PromisedTo string        `json:"promised_to"` // a name
	Waits      time.Duration `json:"waits_ns"`
	Late       bool          `json:"late"` // work goes on past its lease
}
