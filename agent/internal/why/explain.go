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

// RecoverAfter is how long a majority must be missing before recover is advised.
const RecoverAfter = 5 * time.Minute

// explanation is one run of Explain.
type explanation struct {
	*Facts
	found   api.Why
	self    *Voter // nil: it has no vote
	missing []*Voter
	faulted bool // the fault rules are told
}

// Explain tells why an agent has its role, and why it knows no goose if it knows none.
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
		e.reason(api.WhyLoop, fmt.Sprintf("the agent's loop has not run for %s: its disk hangs, or the machine is overloaded or was paused; what follows is what it last published", span(f.Stale)),
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

// faults tells of this agent's fault rules: first of all where they may be the cause.
func (e *explanation) faults() {
	e.faulted = true
	e.reason(api.WhyFaults, "fault rules are in force on this agent: "+e.Netem, "ddgoose netem clear")
}

// reason adds a cause. A remedy that a cause before has is not said again.
func (e *explanation) reason(kind, text, remedy string) {
	if slices.ContainsFunc(e.found.Reasons, func(r api.WhyReason) bool { return r.Remedy == remedy }) {
		remedy = ""
	}
	e.found.Reasons = append(e.found.Reasons, api.WhyReason{Kind: kind, Text: text, Remedy: remedy})
}

// voters lists them, and who of them can be counted on.
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
		follows = fmt.Sprintf("it has promised %s to elect nobody else for %s more, and renews that with each heartbeat", e.PromisedTo, span(e.Promised))
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

// standing tells why this agent could not lead whatever happened.
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
		e.reason(api.WhyUncontested, "it was not given this election: it votes, and leads only until an agent can that was given it", "start it with --election "+e.Election+" to change that")
	}
}

// obstacles tells what keeps this agent from voting or campaigning for now.
func (e *explanation) obstacles() {
	if e.Waits > 0 {
		e.reason(api.WhyRestarted, fmt.Sprintf("it has restarted, and neither votes nor campaigns for %s more: promises that it made before may still hold", span(e.Waits)), "wait")
	}
	if len(e.Late) > 0 {
		e.reason(api.WhyLateWork, fmt.Sprintf("work of %s still runs after its lease ended: it does not campaign until that work ends", strings.Join(e.Late, ", ")), "end that work, and find out why it did not stop in time")
	}
	if e.Unwell != "" {
		e.reason(api.WhyUnwell, fmt.Sprintf("its check fails: %s: it does not lead until the check passes", e.Unwell), "repair what the check looks at (--check)")
	}
}

func (e *explanation) unbound() {
	if e.Election != "" {
		e.found.Summary = fmt.Sprintf("%s has no goose: the election has not begun at this agent", e.Name)
		e.reason(api.WhyFounding, "the goose of the default election begins it once a majority of the voters answers", "ddgoose why tells of the default election")
		return
	}
	if e.Founding != "" {
		e.found.Summary = fmt.Sprintf("%s has no goose: its flock is not founded yet", e.Name)
		e.reason(api.WhyFounding, e.Founding, "start the missing agents, each with the same --expect and a --join that names some of the others")
		return
	}
	e.found.Summary = fmt.Sprintf("%s has no goose: it has joined no flock yet", e.Name)
	e.reason(api.WhyJoining, "it waits for an answer of an agent at "+strings.Join(e.Join, " "),
		"check that an agent runs there, that UDP and TCP reach its port, and that --flock and the key are the same; ddgoose status has more")
}

// handingOver says what a hand-over waits for.
func (e *explanation) handingOver() string {
	if e.Working > 0 {
		return fmt.Sprintf("a hand-over is under way: it waits for %d to finish their work, at most for their --grace", e.Working)
	}
	return "a hand-over is under way: its lease has ended, and another agent takes over"
}

// leader leads its term without a lease: no goose.
func (e *explanation) leader() {
	if e.HandingOver {
		e.found.Summary = fmt.Sprintf("%s is no longer the goose: it hands over", e.Name)
		e.reason(api.WhyHandingOver, e.handingOver(), "wait: it takes at most two leases")
		return
	}
	e.found.Summary = fmt.Sprintf("there is no goose: %s leads term %d, but only %d of %d voters keep a promise to it, and %d are needed",
		e.Name, e.Term, e.found.Reachable, len(e.Voters), e.found.Needed)
	e.distances()
	e.reason(api.WhyNoLease, fmt.Sprintf("it needs promises of %d more voters", max(1, e.found.Needed-e.found.Reachable)), "")
	e.absent(api.WhyNoMajority, "")
}

// absent names each voter that does not answer, with each remedy once: at the last
// voter that it is for.
func (e *explanation) absent(kind, title string) {
	var texts, remedies []string
	names := map[string][]string{} // by remedy
	for _, v := range e.missing {
		text, remedy := e.absence(v)
		texts, remedies = append(texts, text), append(remedies, remedy)
		names[remedy] = append(names[remedy], v.Name)
	}
	for i, text := range texts {
		remedy := ""
		if last := !slices.Contains(remedies[i+1:], remedies[i]); last {
			remedy = strings.ReplaceAll(remedies[i], "{voters}", strings.Join(slices.Sorted(slices.Values(names[remedies[i]])), ", "))
		}
		e.reason(kind, title+text, remedy)
	}
}

// absence says how a voter is absent, and what to do; {voters} stands for its name.
func (e *explanation) absence(v *Voter) (text, remedy string) {
	last := "nothing was heard from it since this agent started"
	if v.Heard >= 0 {
		last = fmt.Sprintf("its last datagram came %s ago", span(v.Heard))
	}
	at := v.Name
	if v.Addr != "" {
		at += " at " + v.Addr
	}
	if e.faulted {
		return fmt.Sprintf("%s does not answer: %s", at, last), "" // the first cause has its own remedy
	}
	switch v.State {
	case api.StateAlive:
		remedy = "check UDP in both directions between this agent and {voters}: ddgoose doctor"
		if v.Unanswered < gossipTakes || v.Silent && e.Goose != "" {
			remedy = "start {voters} again, or repair the network: ddgoose doctor"
		}
		return fmt.Sprintf("%s does not answer elections, and gossip still counts it as alive: %s", at, last), remedy
	case "":
		return fmt.Sprintf("%s does not answer, and gossip does not know it: %s", at, last), "start {voters} with a --join that names this agent"
	}
	return fmt.Sprintf("%s does not answer, and gossip counts it as %s: %s", at, v.State, last), "start {voters} again, or repair the network: ddgoose doctor"
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
	return fmt.Sprintf("a round trip to %s takes %s or more, longer than a lease of %s: neither of the two can lead with the vote of the other", name, span(roundTrip), span(lease))
}

// gooseless is a duck or candidate that knows no goose.
func (e *explanation) gooseless() {
	n := len(e.Voters)
	switch {
	case n == 0:
		e.found.Summary = fmt.Sprintf("%s knows no goose, and does not know the voters yet", e.Name)
	case e.found.Reachable < e.found.Needed:
		e.found.Summary = fmt.Sprintf("there is no goose: %d of %d voters answer, and %d are needed", e.found.Reachable, n, e.found.Needed)
		if e.found.Reachable == 1 && n > 2 && e.self != nil && !e.faulted {
			e.reason(api.WhyNoMajority, "no other voter answers: this agent may be cut off from them", "")
		}
		e.absent(api.WhyNoMajority, "")
		if e.Gooseless >= RecoverAfter {
			e.reason(api.WhyNoMajority, fmt.Sprintf("there has been no majority for %s", span(e.Gooseless)), "only if the missing voters are lost for good: ddgoose recover")
		}
	default:
		e.found.Summary = fmt.Sprintf("there is no goose: %d of %d voters answer, which is enough, and none is elected yet", e.found.Reachable, n)
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
		e.reason(api.WhyNobodyLeads, "no voter that answers may lead: they are witnesses (priority 0)", "start a voter with a --priority above 0")
		return
	}
	if !slices.ContainsFunc(e.Voters, func(v Voter) bool { return !v.Uncontested && e.counts(&v) }) {
		e.reason(api.WhyUncontested, "no voter that answers was given this election", "start a voter with --election "+e.Election)
		return
	}
	if e.allUnwell() {
		e.reason(api.WhyUnwell, "nobody may lead: the check of every voter that answers fails", "repair what the checks look at: the first agent whose check passes is elected")
		return
	}
	if e.Stale == 0 {
		e.reason(api.WhyElection, "an election is under way or about to begin", "wait: it takes about two leases; if it lasts: ddgoose doctor")
	}
}

// allUnwell tells that the check of each voter that might lead fails.
func (e *explanation) allUnwell() bool {
	return !slices.ContainsFunc(e.Voters, func(v Voter) bool {
		return v.Priority > 0 && e.counts(&v) && !v.Unwell && !(v.Self && e.Unwell != "")
	})
}

// waiting tells which of its own promises this agent waits for.
func (e *explanation) waiting() {
	if e.Promised > 0 {
		e.reason(api.WhyPromised, fmt.Sprintf("it has promised %s to elect nobody else for %s more", e.PromisedTo, span(e.Promised)), "wait")
	}
	if e.HandedOut > 0 {
		e.reason(api.WhyHandedOut, fmt.Sprintf("work here may run for %s more, until the deadline that it was given", span(e.HandedOut)), "wait")
	}
	if e.Silent > 0 {
		e.reason(api.WhyStoodDown, fmt.Sprintf("it lost its majority and stood down: it does not campaign for %s more, so that others can", span(e.Silent)), "wait")
	}
}

// others tells what keeps the other voters from electing.
func (e *explanation) others() {
	for i := range e.Voters {
		v := &e.Voters[i]
		if v.Self {
			continue
		}
		if v.Unwell {
			e.reason(api.WhyUnwell, fmt.Sprintf("the check of %s fails: it does not lead until the check passes", v.Name), "repair what its check looks at")
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
			e.reason(api.WhyLateWork, fmt.Sprintf("work at %s still runs after its lease ended: it does not campaign until that work ends", v.Name), "end that work")
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
