package why

import (
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

// plans tells what is to change the goose although nothing fails, and what keeps
// that from happening.
func (e *explanation) plans() {
	if e.Frozen > 0 {
		e.reason(api.WhyFrozen, fmt.Sprintf("the flock is frozen for %s more: its goose changes on failure only", span(e.Frozen.Round(time.Second))), "ddgoose thaw")
	}
	switch h := e.Heir; {
	case h.Name == "":
	case h.In > 0 && h.Asked:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s has a higher priority (%d) and asks to take over; it was asked to lately, and is not again for %s", h.Name, h.Priority, span(h.In)),
			"look at why "+h.Name+" did not take over, or stay the goose: its log, and ddgoose doctor")
	case h.In > 0:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s has a higher priority (%d) and asks to take over: it is handed the lead in %s, once it has been a steady voter for %s", h.Name, h.Priority, span(h.In), span(h.After)), "")
	default:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s has a higher priority (%d) and asks to take over: it is handed the lead as soon as may be", h.Name, h.Priority), "")
	}
	if v := e.goosesVote(); v != nil && e.self != nil && e.PreemptAfter > 0 && e.self.Priority > v.Priority {
		e.reason(api.WhyPreempts, fmt.Sprintf("its priority is higher (%d, and %s has %d) and it asks to take over: %s hands over once it has seen it be a steady voter for %s", e.self.Priority, v.Name, v.Priority, v.Name, span(e.PreemptAfter)),
			"ddgoose why, given to "+v.Name+", tells when")
	}
}

// goosesVote finds another's that is the goose; nil: there is none.
func (e *explanation) goosesVote() *Voter {
	for i := range e.Voters {
		if v := &e.Voters[i]; !v.Self && e.Goose != "" && v.Name == e.Goose {
			return v
		}
	}
	return nil
}
