package why

import (
	"fmt"
	"slices"
	"time"

	"duckduckgoose/agent/api"
)

// plans says which planned change of the goose is coming, and what prevents it.
func (e *explanation) plans() {
	if e.Frozen > 0 {
		e.reason(api.WhyFrozen, fmt.Sprintf("the flock is frozen for %s more: planned goose changes are blocked, failover works", api.Span(e.Frozen.Round(time.Second))), "ddgoose thaw")
	}
	heir := fmt.Sprintf("%s has a higher priority (%d) and asks to take over", e.Heir.Name, e.Heir.Priority)
	switch h := e.Heir; {
	case h.Name == "":
	case h.In > 0 && h.Asked:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s; it was asked and did not, and is asked again in %s", heir, api.Span(h.In)),
			"find out why "+h.Name+" did not take over or did not stay the goose: its log, and ddgoose doctor")
	case h.In > 0:
		e.reason(api.WhyPreempted, fmt.Sprintf("%s: it takes over in %s, once it has been a steady voter for %s", heir, api.Span(h.In), api.Span(h.After)), "")
	default:
		e.reason(api.WhyPreempted, heir+": it takes over as soon as possible", "")
	}
	goose := slices.IndexFunc(e.Voters, func(v Voter) bool { return !v.Self && e.Goose != "" && v.Name == e.Goose })
	if goose < 0 || e.self == nil || e.PreemptAfter == 0 {
		return
	}
	if v := &e.Voters[goose]; e.self.Priority > v.Priority {
		e.reason(api.WhyPreempts, fmt.Sprintf("its priority is higher (%d, and %s has %d) and it asks to take over: %s hands over once this agent has been a steady voter for %s", e.self.Priority, v.Name, v.Priority, v.Name, api.Span(e.PreemptAfter)),
			"ddgoose why on "+v.Name+" tells when")
	}
}
