package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// gossipTakes is how long an agent may be dead before gossip says so. When four of
// five die at once, nobody confirms a suspicion, and each failed probe slows the
// next one: 43 s is usual then, and 67 s was the longest of 250 times.
const gossipTakes = 2 * time.Minute

// explanation is one run of Explain.
type explanation struct {
	*Facts
	found   api.Why
	self    *Voter // nil: it has no vote
	missing []*Voter
}

// Explain tells why an agent has its role, and why it knows no goose if it knows none.
func Explain(f Facts) api.Why {
	e := &explanation{Facts: &f, found: api.Why{
		Name: f.Name, Role: f.Role, Goose: f.Goose, Term: f.Term, Stale: millis(f.Stale),
	}}
	e.voters()
	switch {
	case f.Dead:
		e.found.Summary = f.Name + " is dead by simulation"
		e.reason(api.WhyDead, "a simulated death keeps it from sending and hearing anything", "ddgoose simulate revive")
		return e.found
	case f.Stale > 0:
		e.reason(api.WhyLoop, fmt.Sprintf("the agent's loop has not turned for %s: its disk hangs, or the machine is overloaded or was paused; only what it published before is known, and who is the goose is judged by the clock", span(f.Stale)),
			"look at the disk of the data directory and at the load of the machine")
	}
	if f.Spent != "" {
		e.reason(api.WhySpent, Spent(f.Spent), SpentRemedy)
	}
	if f.Keys != "" {
		e.reason(api.WhyKeys, f.Keys, KeysRemedy)
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
	if f.Netem != "" {
		e.reason(api.WhyFaults, "fault rules are in force: "+f.Netem, "ddgoose netem clear")
	}
	return e.found
}

func (e *explanation) reason(kind, text, remedy string) {
	e.found.Reasons = append(e.found.Reasons, api.WhyReason{Kind: kind, Text: text, Remedy: remedy})
}

// voters lists them, and who of them can be counted on.
func (e *explanation) voters() {
	if len(e.Voters) > 0 {
		e.found.Needed = len(e.Voters)/2 + 1
	}
	for i := range e.Voters {
		v := &e.Voters[i]
		w := api.WhyVoter{Name: v.Name, ID: v.ID, Addr: v.Addr, Priority: v.Priority, State: v.State, Counts: e.counts(v)}
		if v.Heard >= 0 && !v.Self {
			w.Heard = pointer(v.Heard)
		}
		switch {
		case v.Self:
			e.self = v
			w.Promised, w.PromisedTo, w.Restarted = pointer(e.Promised), e.PromisedTo, pointer(e.Waits)
		case e.Leads && v.Promise > 0:
			w.Promised, w.PromisedTo = pointer(v.Promise), e.Name
		case v.Told != nil:
			w.Promised, w.PromisedTo, w.Restarted = pointer(v.Told.Promised), v.Told.PromisedTo, pointer(v.Told.Waits)
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

// counts tells whether a voter can be counted on: a leader by the promises it
// holds, others by what came from it lately when they have asked for votes,
// and else by gossip.
func (e *explanation) counts(v *Voter) bool {
	heard := v.Heard >= 0 && v.Heard < max(2*e.Lease, time.Second)
	switch {
	case v.Self:
		return !e.Dead
	case e.Leads:
		return v.Promise > 0
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
		return fmt.Sprintf("no: %s, for %s more", a.Reason, span(a.Until))
	}
	return "no: " + a.Reason
}

func (e *explanation) goose() {
	left := span(e.LeaseLeft)
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
	e.found.Summary = fmt.Sprintf("%s is a duck: %s is the goose, heard %s ago", e.Name, e.Goose, span(e.Heard))
	follows := fmt.Sprintf("it hears %s's heartbeats", e.Goose)
	if e.Promised > 0 {
		follows = fmt.Sprintf("it has promised %s to elect nobody else for %s more, and does so anew at each heartbeat", e.PromisedTo, span(e.Promised))
	}
	e.reason(api.WhyFollows, follows, "ddgoose step-down, given to the goose, hands over")
	e.plans()
	e.standing()
	e.obstacles()
}

// standing tells why this agent could not lead whatever happened.
func (e *explanation) standing() {
	switch {
	case e.self == nil && e.Observer:
		e.reason(api.WhyNotVoter, "it is an observer: it never votes or leads", "start it without --observer to change that")
	case e.self == nil && len(e.Voters) == 0:
		e.reason(api.WhyNotVoter, "it has not heard yet who votes: a goose will tell it", "")
	case e.self == nil:
		e.reason(api.WhyNotVoter, "it is none of the voters; only the goose can make it one, when one is needed", "")
	case e.self.Priority == 0:
		e.reason(api.WhyWitness, "it is a witness (priority 0): it votes and never leads", "give it a --priority above 0 to change that")
	}
}

// obstacles tells what keeps this agent from voting or campaigning for now.
func (e *explanation) obstacles() {
	if e.Waits > 0 {
		e.reason(api.WhyRestarted, fmt.Sprintf("it has restarted, and neither votes nor campaigns for %s more: promises of its life before may still run", span(e.Waits)), "wait")
	}
	if len(e.Late) > 0 {
		e.reason(api.WhyLateWork, fmt.Sprintf("work of %s goes on past its lease: it does not campaign until that ends", strings.Join(e.Late, ", ")), "end that work; look at why it does not stop in time")
	}
}

func (e *explanation) unbound() {
	if e.Founding != "" {
		e.found.Summary = fmt.Sprintf("%s has no goose: its flock is not founded yet", e.Name)
		e.reason(api.WhyFounding, e.Founding, "start the agents that are missing, each with the same --expect and with a --join that names some of the others")
		return
	}
	e.found.Summary = fmt.Sprintf("%s has no goose: it has found no flock yet", e.Name)
	e.reason(api.WhyJoining, "it waits for an agent of a flock at "+strings.Join(e.Join, " "),
		"look whether one runs there, and at UDP and TCP to its port, --flock and the key; ddgoose status has more")
}

// handingOver says what a hand-over waits for.
func (e *explanation) handingOver() string {
	if e.Working > 0 {
		return fmt.Sprintf("a hand-over is under way: it waits for %d to end their work, for their --grace at the most", e.Working)
	}
	return "a hand-over is under way: it holds no lease any more, and another takes over"
}

// leader leads its term without a lease: no goose.
func (e *explanation) leader() {
	if e.HandingOver {
		e.found.Summary = fmt.Sprintf("%s is no goose any more: it hands over", e.Name)
		e.reason(api.WhyHandingOver, e.handingOver(), "wait; it takes two leases at the most")
		return
	}
	e.found.Summary = fmt.Sprintf("there is no goose: %s leads term %d, but only %d of %d voters have promised it anything, and %d are needed",
		e.Name, e.Term, e.found.Reachable, len(e.Voters), e.found.Needed)
	e.distances()
	e.reason(api.WhyNoLease, fmt.Sprintf("it needs %d more of the voters' promises", max(1, e.found.Needed-e.found.Reachable)), "")
	e.absent(api.WhyNoMajority, "")
}

// absent names each voter that cannot be counted on.
func (e *explanation) absent(kind, title string) {
	for _, v := range e.missing {
		text, remedy := e.absence(v)
		e.reason(kind, title+text, remedy)
	}
}

// absence says how a voter cannot be reached, and what to do.
func (e *explanation) absence(v *Voter) (text, remedy string) {
	last := "nothing was heard of it since this agent's start"
	if v.Heard >= 0 {
		last = fmt.Sprintf("its last datagram came %s ago", span(v.Heard))
	}
	at := v.Name
	if v.Addr != "" {
		at += " at " + v.Addr
	}
	again := "start " + v.Name + " again"
	switch v.State {
	case api.StateAlive:
		remedy = "look at UDP between the two, in both directions: ddgoose doctor"
		if v.Unanswered < gossipTakes {
			remedy = "it may just have died: " + again + "; else " + remedy
		}
		return fmt.Sprintf("%s does not answer, though gossip counts it alive: %s", at, last), remedy
	case "":
		return fmt.Sprintf("%s cannot be reached: gossip does not know it, and %s", at, last), "start " + v.Name + " with a --join that names this agent"
	}
	return fmt.Sprintf("%s cannot be reached: gossip counts it as %s, and %s", at, v.State, last), again + ", or mend the network to it"
}

// distances names each voter that is too far away for the lease.
func (e *explanation) distances() {
	for i := range e.Voters {
		if v := &e.Voters[i]; v.TooFar > 0 {
			e.reason(api.WhyTooFar, TooFar(v.Name, v.TooFar, e.Lease), "start all agents with --profile wan or a longer --lease")
		}
	}
}

// Spent says that a number is nearly used up, and SpentRemedy what helps.
func Spent(number string) string {
	return number + ": no flock gets that far by itself; somebody who holds the key forges messages"
}

// SpentRemedy is the remedy for what [Spent] says.
const SpentRemedy = "stop all agents, give them a new --key-file, and run ddgoose recover for the voters: terms begin at 0 again"

// KeysRemedy is the remedy for keys that differ.
const KeysRemedy = "give both the same --key-file"

// TooFar says that the way to an agent is too long for the lease.
func TooFar(name string, roundTrip, lease time.Duration) string {
	return fmt.Sprintf("a round trip to %s takes %s or more, and a lease of %s ends before that: the two cannot promise each other anything", name, span(roundTrip), span(lease))
}

// gooseless is a duck or candidate that knows no goose.
func (e *explanation) gooseless() {
	n := len(e.Voters)
	switch {
	case n == 0:
		e.found.Summary = fmt.Sprintf("%s knows no goose, and has not heard yet who votes", e.Name)
	case e.found.Reachable < e.found.Needed:
		e.found.Summary = fmt.Sprintf("there is no goose: %d of %d voters can be reached, and %d are needed", e.found.Reachable, n, e.found.Needed)
		e.absent(api.WhyNoMajority, "")
		names := make([]string, len(e.missing))
		for i, v := range e.missing {
			names[i] = v.Name
		}
		e.reason(api.WhyNoMajority, fmt.Sprintf("%d more of %s must come back before anybody can be elected", e.found.Needed-e.found.Reachable, strings.Join(names, ", ")),
			"if they are lost for good: ddgoose recover")
	default:
		e.found.Summary = fmt.Sprintf("there is no goose: %d of %d voters can be reached, which is enough, and none is elected yet", e.found.Reachable, n)
	}
	e.distances()
	e.standing()
	e.obstacles()
	e.waiting()
	e.others()
	if n == 0 || e.found.Reachable < e.found.Needed {
		return
	}
	e.absent(api.WhyVoterGone, "voter ")
	if !slices.ContainsFunc(e.Voters, func(v Voter) bool { return v.Priority > 0 && e.counts(&v) }) {
		e.reason(api.WhyNobodyLeads, "none of the voters that can be reached may lead: they are witnesses (priority 0)", "start a voter of a priority above 0 again")
		return
	}
	if e.Stale == 0 {
		e.reason(api.WhyElection, "an election is under way or about to begin", "wait: it takes two leases or so; if it stays like this: ddgoose doctor")
	}
}

// waiting tells which of its own promises this agent waits for.
func (e *explanation) waiting() {
	if e.Promised > 0 {
		e.reason(api.WhyPromised, fmt.Sprintf("it has promised %s to elect nobody else for %s more", e.PromisedTo, span(e.Promised)), "wait")
	}
	if e.HandedOut > 0 {
		e.reason(api.WhyHandedOut, fmt.Sprintf("work here may go on for %s more by a deadline that it was handed", span(e.HandedOut)), "wait")
	}
	if e.Silent > 0 {
		e.reason(api.WhyStoodDown, fmt.Sprintf("it led without a majority and stood down: it does not campaign for %s more, so that others can", span(e.Silent)), "wait")
	}
}

// others tells what keeps the other voters from electing.
func (e *explanation) others() {
	for i := range e.Voters {
		v := &e.Voters[i]
		if v.Self {
			continue
		}
		t := v.Told
		if t == nil {
			if a := v.Answer; a != nil && !a.Granted {
				e.reason(api.WhyRefused, fmt.Sprintf("%s refuses its vote to this agent: %s", v.Name, strings.TrimPrefix(answer(a), "no: ")), "")
			}
			continue
		}
		if t.Waits > 0 {
			e.reason(api.WhyRestarted, fmt.Sprintf("%s has restarted, and neither votes nor campaigns for %s more", v.Name, span(t.Waits)), "wait")
		}
		if t.Promised > 0 {
			e.reason(api.WhyPromised, fmt.Sprintf("%s has promised %s to elect nobody else for %s more", v.Name, t.PromisedTo, span(t.Promised)), "wait")
		}
		if t.Late {
			e.reason(api.WhyLateWork, fmt.Sprintf("work at %s goes on past its lease: it does not campaign until that ends", v.Name), "end that work")
		}
	}
}

// span shows a duration as a person reads it.
func span(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

func pointer(d time.Duration) *float64 {
	ms := millis(d)
	return &ms
}
