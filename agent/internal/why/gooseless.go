package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// RecoverAfter is how long a majority must be missing before recover is advised.
const RecoverAfter = 5 * time.Minute

func (e *explanation) unbound() {
	if e.Election != "" {
		e.found.Summary = fmt.Sprintf("%s has no goose: the election has not begun at this agent", e.Name)
		e.reason(api.WhyFounding, "the goose of the default election begins it once a majority of the voters answers", "ddgoose why tells of the default election")
		return
	}
	if e.Founding != "" {
		e.found.Summary = fmt.Sprintf("%s has no goose: its flock is not founded yet", e.Name)
		remedy := ""
		if e.Missing {
			remedy = "start the missing agents, each with the same --expect and a --join that names some of the others"
		}
		e.reason(api.WhyFounding, e.Founding, remedy)
		return
	}
	e.found.Summary = fmt.Sprintf("%s has no goose: it has joined no flock yet", e.Name)
	if len(e.Join) == 0 {
		e.reason(api.WhyJoining, "its --join names no other agent", "name an agent of the flock in --join, or leave --join out to found a new flock")
		return
	}
	e.reason(api.WhyJoining, "it waits for an answer of an agent at "+strings.Join(e.Join, " "),
		"check that an agent runs there, that UDP and TCP reach its port, and that --flock and the key are the same; ddgoose status has more")
}

// leader explains an agent that leads its term without a lease: there is no goose.
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

// gooseless explains a duck or candidate that knows no goose.
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
			e.reason(api.WhyNoMajority, fmt.Sprintf("there has been no majority for %s", api.Span(e.Gooseless)), "only if the missing voters are lost for good: ddgoose recover")
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

// allUnwell reports whether the check of each voter that might lead fails.
func (e *explanation) allUnwell() bool {
	return !slices.ContainsFunc(e.Voters, func(v Voter) bool {
		return v.Priority > 0 && e.counts(&v) && !v.Unwell && !(v.Self && e.Unwell != "")
	})
}

// waiting says which of its own promises this agent waits for.
func (e *explanation) waiting() {
	if e.Promised > 0 {
		e.reason(api.WhyPromised, fmt.Sprintf("it has promised %s to elect nobody else for %s more", e.PromisedTo, api.Span(e.Promised)), "wait")
	}
	if e.HandedOut > 0 {
		e.reason(api.WhyHandedOut, fmt.Sprintf("work here may run for %s more, until the deadline that it was given", api.Span(e.HandedOut)), "wait")
	}
	if e.Silent > 0 {
		e.reason(api.WhyStoodDown, fmt.Sprintf("it lost its majority and stood down: it does not campaign for %s more, so that others can", api.Span(e.Silent)), "wait")
	}
}

// others says what keeps the other voters from electing a goose.
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
			e.reason(api.WhyRestarted, fmt.Sprintf("%s has restarted, and neither votes nor campaigns for %s more", v.Name, api.Span(t.Waits)), "wait")
		}
		if t.Promised > 0 {
			e.reason(api.WhyPromised, fmt.Sprintf("%s has promised %s to elect nobody else for %s more", v.Name, t.PromisedTo, api.Span(t.Promised)), "wait")
		}
		if t.Late {
			e.reason(api.WhyLateWork, fmt.Sprintf("work at %s still runs after its lease ended: it does not campaign until that work ends", v.Name), "end that work")
		}
	}
}
