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

// warnPreemption tells at the goose who is to take over, and at that one from
// whom. No countdown: a text that changes wakes every watcher; why has it.
func (l *life) warnPreemption(now time.Duration, warn func(string, ...any)) {
	goose, self := l.knownGoose()
	switch h := l.heir; {
	case goose.IsZero():
	case self && !h.ID.IsZero():
		name := l.nameOf(h.ID)
		switch {
		case l.frozen(now) > 0:
			warn("%s (priority %d) is to take over from this goose when the flock is frozen no more (ddgoose thaw)", name, h.Priority)
		case h.Asked && h.At > now:
			warn("%s (priority %d) is to take over from this goose, but did not when it was asked: it is asked again within %v (ddgoose why)", name, h.Priority, autopilot.TriedLately)
		default:
			warn("%s (priority %d) takes over from this goose once it has been a steady voter for %v (ddgoose why tells when, ddgoose freeze prevents it)", name, h.Priority, h.After)
		}
	case !self:
		rec := l.node.Record()
		own, theirs := rec.Config.Index(l.id), rec.Config.Index(goose)
		if after := l.cfg.preemptAfter(); after > 0 && own >= 0 && theirs >= 0 && rec.Config.Voters[own].Priority > rec.Config.Voters[theirs].Priority && l.frozen(now) == 0 {
			warn("this agent (priority %d) takes over from %s (priority %d) once that has seen it be a steady voter for %v", rec.Config.Voters[own].Priority, l.nameOf(goose), rec.Config.Voters[theirs].Priority, after)
		}
	}
}
