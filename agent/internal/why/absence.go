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

// absent names each voter that does not answer. Each remedy is said once, at the
// last voter that it is for.
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

// absence says what is known of a voter that does not answer, and what to do;
// {voters} stands for its name.
func (e *explanation) absence(v *Voter) (text, remedy string) {
	does, last := "does not answer", ""
	switch duck := e.Goose != "" && !e.Leads; {
	case duck && v.Silent:
		does += " " + e.Goose + "'s heartbeats"
	case v.Heard >= 0:
		last = fmt.Sprintf(": its last datagram came %s ago", api.Span(v.Heard))
	case !duck: // ducks send each other nothing
		last = ": nothing was heard from it since this agent started"
	}
	at := v.Name
	if v.Addr != "" {
		at += " at " + v.Addr
	}
	if e.faulted {
		return fmt.Sprintf("%s %s%s", at, does, last), "" // the first cause has its own remedy
	}
	switch v.State {
	case api.StateAlive:
		remedy = "check UDP in both directions between this agent and {voters}: ddgoose doctor"
		if v.Unanswered < gossipTakes || v.Silent && e.Goose != "" {
			remedy = "start {voters} again, or repair the network: ddgoose doctor"
		}
		return fmt.Sprintf("%s %s, and gossip still counts it as alive%s", at, does, last), remedy
	case "":
		return fmt.Sprintf("%s %s, and gossip does not know it%s", at, does, last), "start {voters}; one that runs already needs a --join that names this agent"
	}
	return fmt.Sprintf("%s %s, and gossip counts it as %s%s", at, does, v.State, last), "start {voters} again, or repair the network: ddgoose doctor"
}

// distances names each voter that is too far away for the lease.
func (e *explanation) distances() {
	for i := range e.Voters {
		if v := &e.Voters[i]; v.TooFar > 0 {
			e.reason(api.WhyTooFar, TooFar(v.Name, v.TooFar, e.Lease), "start all agents with --profile wan or a longer --lease")
		}
	}
}

// TooFar says that the way to an agent is too long for the lease.
func TooFar(name string, roundTrip, lease time.Duration) string {
	return fmt.Sprintf("a round trip to %s takes %s or more, longer than a lease of %s: neither of the two can lead with the vote of the other", name, api.Span(roundTrip), api.Span(lease))
}
