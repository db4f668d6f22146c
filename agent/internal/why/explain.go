package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// explanation is one run of Explain.
type explanation struct {
	*Facts
	found   api.Why
	self    *Voter // nil: it has no vote
	missing []*Voter
	faulted bool // the fault rules have been named
}

// Explain returns why an agent has its role, and why it knows no goose if it knows none.
func Explain(f Facts) api.Why {
	e := &explanation{Facts: &f, found: api.Why{
		Election: f.Election, Name: f.Name, Role: f.Role, Goose: f.Goose, Term: f.Term, Stale: api.Millis(f.Stale),
	}}
	e.explain()
	if f.Election != "" {
		e.found.Summary = fmt.Sprintf("election %q: %s", f.Election, e.found.Summary)
	}
	return e.found
}

func (e *explanation) explain() {
	f := e.Facts
	e.voters()
	switch {
	case f.Dead:
		e.found.Summary = f.Name + " is dead by simulation"
		e.reason(api.WhyDead, "a simulated death keeps it from sending and hearing anything", "ddgoose simulate revive")
		return
	case f.Stale > 0:
		e.reason(api.WhyLoop, fmt.Sprintf("the agent's loop has not run for %s: its disk hangs, or the machine is overloaded or was paused; what follows is what it last published", api.Span(f.Stale)),
			"check the disk of the data directory and the load of the machine")
	}
	if f.Spent != "" {
		e.reason(api.WhySpent, Spent(f.Spent), SpentRemedy)
	}
	if f.Keys != "" {
		e.reason(api.WhyKeys, f.Keys, KeysRemedy)
	}
	if f.Netem != "" && (f.Goose == "" && f.Role != api.RoleGoose || len(e.missing) > 0) {
		e.faults()
	}
	switch {
	case f.Keys != "" && !f.Bound:
		e.found.Summary = f.Name + " has no goose: it holds another key than the agents it met"
	case f.Role == api.RoleGoose:
		e.goose()
	case f.Goose != "":
		e.duck()
	case !f.Bound:
		e.unbound()
	case f.Leads:
		e.leader()
	default:
		e.gooseless()
	}
	if f.Netem != "" && !e.faulted {
		e.faults()
	}
}

// faults names this agent's fault rules. They come first where they may be the cause.
func (e *explanation) faults() {
	e.faulted = true
	e.reason(api.WhyFaults, "fault rules are in force on this agent: "+e.Netem, e.EndsNetem)
}

// reason adds a cause. It leaves out a remedy that an earlier cause has.
func (e *explanation) reason(kind, text, remedy string) {
	if slices.ContainsFunc(e.found.Reasons, func(r api.WhyReason) bool { return r.Remedy == remedy }) {
		remedy = ""
	}
	e.found.Reasons = append(e.found.Reasons, api.WhyReason{Kind: kind, Text: text, Remedy: remedy})
}

// voters lists the voters, and which of them count towards a majority.
func (e *explanation) voters() {
	if len(e.Voters) > 0 {
		e.found.Needed = len(e.Voters)/2 + 1
	}
	slices.SortStableFunc(e.Voters, func(v, w Voter) int { return strings.Compare(v.Name, w.Name) })
	for i := range e.Voters {
		v := &e.Voters[i]
		w := api.WhyVoter{Name: v.Name, ID: v.ID, Addr: v.Addr, Priority: v.Priority, State: v.State, Counts: e.counts(v)}
		if v.Heard >= 0 && !v.Self {
			w.Heard = new(api.Millis(v.Heard))
		}
		switch {
		case v.Self:
			e.self = v
			w.Promised, w.PromisedTo, w.Restarted = new(api.Millis(e.Promised)), e.PromisedTo, new(api.Millis(e.Waits))
		case e.Leads && v.Promise > 0:
			w.Promised, w.PromisedTo = new(api.Millis(v.Promise)), e.Name
		case v.Told != nil:
			w.Promised, w.PromisedTo, w.Restarted = new(api.Millis(v.Told.Promised)), v.Told.PromisedTo, new(api.Millis(v.Told.Waits))
		}
		if a := v.Answer; a != nil {
			w.Answer = answer(a)
		}
		if w.Counts {
			e.found.Reachable++
		} else {
			e.missing = append(e.missing, v)
		}
		e.found.Voters = append(e.found.Voters, w)
	}
}

// counts reports whether a voter counts towards a majority. A leader goes by the
// promises that it holds; an agent that has asked for votes by the voter's last
// datagram; others by gossip.
func (e *explanation) counts(v *Voter) bool {
	heard := v.Heard >= 0 && v.Heard < max(2*e.Lease, time.Second)
	switch {
	case v.Self:
		return !e.Dead
	case e.Leads:
		return v.Promise > 0
	case v.Silent:
		return false
	case e.Goose != "" || !e.Asked:
		return heard || v.State == api.StateAlive
	}
	return heard
}

func answer(a *Answer) string {
	switch {
	case a.Granted:
		return "yes"
	case a.Until > 0:
		return fmt.Sprintf("no: %s, for %s more", a.Reason, api.Span(a.Until))
	}
	return "no: " + a.Reason
}

func (e *explanation) goose() {
	left := api.Span(e.LeaseLeft)
	if len(e.Voters) == 1 {
		e.found.Summary = fmt.Sprintf("%s is the goose: it is the only voter, and its lease runs for %s more", e.Name, left)
	} else {
		e.found.Summary = fmt.Sprintf("%s is the goose: it won term %d, and a majority of the voters (%d of %d) has promised for %s more to elect nobody else",
			e.Name, e.Term, e.found.Needed, len(e.Voters), left)
	}
	if e.Stale > 0 {
		return // how many keep to it now is not known
	}
	e.reason(api.WhyLease, fmt.Sprintf("%d of %d voters keep a promise to it, and %d are needed", e.found.Reachable, len(e.Voters), e.found.Needed), "")
	if e.HandingOver {
		e.reason(api.WhyHandingOver, e.handingOver(), "")
	}
	e.plans()
	e.absent(api.WhyVoterGone, "voter ")
}

func (e *explanation) duck() {
	e.found.Summary = fmt.Sprintf("%s is a duck: %s is the goose, heard %s ago", e.Name, e.Goose, api.Span(e.Heard))
	follows := fmt.Sprintf("it hears %s's heartbeats", e.Goose)
	if e.Promised > 0 {
		follows = fmt.Sprintf("it has promised %s to elect nobody else for %s more, and renews that with each heartbeat", e.PromisedTo, api.Span(e.Promised))
	}
	stepDown := "ddgoose step-down"
	if e.Election != "" {
		stepDown += " --election " + e.Election
	}
	e.reason(api.WhyFollows, follows, stepDown+" on the goose hands over")
	e.plans()
	e.standing()
	e.obstacles()
	e.absent(api.WhyVoterGone, "voter ")
}

// standing says why this agent can never lead as it is.
func (e *explanation) standing() {
	switch {
	case e.self == nil && e.Observer:
		e.reason(api.WhyNotVoter, "it is an observer: it never votes or leads", "start it without --observer to change that")
	case e.self == nil && len(e.Voters) == 0:
		e.reason(api.WhyNotVoter, "it does not know the voters yet: a goose will tell it", "")
	case e.self == nil:
		e.reason(api.WhyNotVoter, "it is not a voter; the goose makes it one when a voter is needed", "")
	case e.self.Priority == 0:
		e.reason(api.WhyWitness, "it is a witness (priority 0): it votes and never leads", "give it a --priority above 0 to change that")
	case e.Uncontested:
		e.reason(api.WhyUncontested, "it was not given this election: it votes, and leads only while no agent that was given it can lead", "start it with --election "+e.Election+" to change that")
	}
}

// obstacles says what keeps this agent from voting or campaigning now.
func (e *explanation) obstacles() {
	if e.Waits > 0 {
		e.reason(api.WhyRestarted, fmt.Sprintf("it has restarted, and neither votes nor campaigns for %s more: promises that it made before may still hold", api.Span(e.Waits)), "wait")
	}
	if len(e.Late) > 0 {
		e.reason(api.WhyLateWork, fmt.Sprintf("work of %s still runs after its lease ended: it does not campaign until that work ends", strings.Join(e.Late, ", ")), "end that work, and find out why it did not stop in time")
	}
	if e.Unwell != "" {
		e.reason(api.WhyUnwell, fmt.Sprintf("its check fails: %s: it does not lead until the check passes", e.Unwell), "repair what the check looks at (--check)")
	}
}

// handingOver says what the hand-over waits for.
func (e *explanation) handingOver() string {
	if e.Working > 0 {
		return fmt.Sprintf("a hand-over is under way: it waits for %d to finish their work, at most for their --grace", e.Working)
	}
	return "a hand-over is under way: its lease has ended, and another agent takes over"
}

// Spent says that a number is nearly used up, and SpentRemedy what helps.
func Spent(number string) string {
	return number + ": no flock gets that far by itself; somebody who holds the key forges messages"
}

// SpentRemedy is the remedy for what [Spent] says.
const SpentRemedy = "stop all agents, give them a new --key-file, and run ddgoose recover for the voters: terms begin at 0 again"

// KeysRemedy is the remedy for keys that differ.
const KeysRemedy = "give both the same --key-file"
