package sim

import (
	"errors"
	"time"

	"duckduckgoose/netem/schedule"
)

// crashPoint is when a life is to crash: with one of the effects of the schedules, or
// so many effects later. In the middle of those on the disk is before they are done.
type crashPoint struct {
	schedule.Crash // At "": never
	met            bool
	back           time.Duration
}

// errCrashed is what a disk says while its process crashes.
var errCrashed = errors.New("crashed")

// reaches counts an effect, and tells whether the life crashes there: then
// nothing that follows in this input has an effect.
func (l *life) reaches(effect string) bool {
	if l.struck {
		return true
	}
	l.effects++
	p := &l.armed
	switch {
	case p.At == "":
		return false
	case p.met:
		p.More--
	case p.At == effect || p.At == "any":
		p.met = true
	default:
		return false
	}
	l.struck = p.More == 0
	return l.struck
}

// tears has the disk stop in the middle of an operation from now, if the life
// crashes there.
func (l *life) tears(effect string, op int) {
	switch op += l.disk.Ops(); {
	case l.struck || !l.reaches(effect):
	case l.armed.Power:
		l.disk.CutAt(op)
	default:
		l.disk.FailAt(op, errCrashed)
	}
}

// strike is the crash that was armed. The input in which it came is over.
func (s *Sim) strike(l *life) {
	p := l.armed
	s.stats.Struck["crash-at"]++
	s.note(l.agent, "crashes at "+p.At, uint64(l.effects))
	l.disk.Fail(nil)
	s.crash(l.agent, p.Power)
	s.after(p.back, func() { s.start(l.agent) })
}
