package agent

import (
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/why"
)

// preempt hands over to an agent of a higher priority that asks for it, when
// its time has come; work is stopped first, as for a step-down.
func (l *life) preempt(now time.Duration, v autopilot.View) {
	heir, due := l.preemption.Decide(now, v)
	l.heir = heir
	if !due || l.handing != nil || l.departure != nil || l.leaving.started {
		return
	}
	l.preemption.Ask(now, heir.ID)
	l.counts.of("preemptions").Add(1)
	name := l.nameOf(heir.ID)
	l.log.Info("handing over to a higher priority", "to", name, "priority", heir.Priority)
	l.beginStepDown(heir.ID, func(goose string, err error) {
		if err != nil {
			l.log.Warn("the higher priority did not take over", "to", name, "error", err)
		}
	})
}

// heirFact is what why tells of it at the goose.
func (l *life) heirFact(now time.Duration) why.Heir {
	if l.heir.ID.IsZero() {
		return why.Heir{}
	}
	return why.Heir{
		Name: l.nameOf(l.heir.ID), Priority: l.heir.Priority, After: l.heir.After, In: max(0, l.heir.At-now), Asked: l.heir.Asked,
	}
}
