package why

import (
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/api"
)

// plans tells what is to change the goose although nothing fails, and what keeps
// that from happening.
func (e *explanation) plans() {
	if e.Frozen > 0 {
		e.reason(api.WhyFrozen, fmt.Sprintf("the flock is frozen for %s more: its goose changes on failure only", span(e.Frozen.Round(time.Second))), "ddgoose thaw")
	}
	heir := fmt.Sprintf("%s has a higher priority (%d) and asks to take over", e.Heir.Name, e.Heir.Priority)
	switch h := e.Heir; {
	case h.Name == "":
	case h.In > 0 && h.Asked:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s; it was asked to lately, and is not again for %s", heir, span(h.In)),
			"look at why "+h.Name+" did not take over, or stay the goose: its log, and ddgoose doctor")
	case h.In > 0:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s: it is handed the lead in %s, once it has been a steady voter for %s", heir, span(h.In), span(h.After)), "")
	default:
		e.reason(api.WhyPreempted, heir+": it is handed the lead as soon as may be", "")
	}
	goose := slices.IndexFunc(e.Voters, func(v Voter) bool { return !v.Self && e.Goose != "" && v.Name == e.Goose })
	if goose < 0 || e.self == nil || e.PreemptAfter == 0 {
		return
	}
	if v := &e.Voters[goose]; e.self.Priority > v.Priority {
		e.reason(api.WhyPreempts, fmt.Sprintf("its priority is higher (%d, and %s has %d) and it asks to take over: %s hands over once it has seen it be a steady voter for %s", e.self.Priority, v.Name, v.Priority, v.Name, span(e.PreemptAfter)),
			"ddgoose why, given to "+v.Name+", tells when")
	}
}
