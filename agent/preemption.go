package agent

import (
	"time"

	"duckduckgoose/agent/autopilot"
	"duckduckgoose/agent/why"
)

// heirFact is what why tells of it at the goose.
func (l *life) heirFact(now time.Duration) why.Heir {
	h := l.member.Heir()
	if h.ID.IsZero() {
		return why.Heir{}
	}
	return why.Heir{Name: l.nameOf(h.ID), Priority: h.Priority, After: h.After, In: max(0, h.At-now), Asked: h.Asked}
}

// warnPreemption tells at the goose who is to take over, and at that one from
// whom. No countdown: a text that changes wakes every watcher; why has it.
func (l *life) warnPreemption(now time.Duration, warn func(string, ...any)) {
	goose, self := l.member.Default().Goose(now)
	switch h := l.member.Heir(); {
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
		rec := l.node().Record()
		own, theirs := rec.Config.Index(l.id), rec.Config.Index(goose)
		if after := l.cfg.PreemptsAfter(); after > 0 && own >= 0 && theirs >= 0 && rec.Config.Voters[own].Priority > rec.Config.Voters[theirs].Priority && l.frozen(now) == 0 {
			warn("this agent (priority %d) takes over from %s (priority %d) once that has seen it be a steady voter for %v", rec.Config.Voters[own].Priority, l.nameOf(goose), rec.Config.Voters[theirs].Priority, after)
		}
	}
}
