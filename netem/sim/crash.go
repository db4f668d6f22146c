package sim

import (
	"errors"
	"time"

	"duckduckgoose/netem/schedule"
)

// crashPoint is the moment at which a life is to crash: at an effect that the schedule
// names, or a number of effects later. At an effect on the disk, the crash comes before
// it is done.
type crashPoint struct {
	schedule.Crash // At "": never
	met            bool
	back           time.Duration
}

// errCrashed is the error of a disk whose process has crashed.
var errCrashed = errors.New("crashed")

// reaches counts an effect, and reports whether the life crashes there. Then nothing
// that follows in this input has an effect.
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

// tears makes the disk stop at operation op from now, if the life crashes at this
// effect.
func (l *life) tears(effect string, op int) {
	switch op += l.disk.Ops(); {
	case l.struck || !l.reaches(effect):
	case l.armed.Power:
		l.disk.CutAt(op)
	default:
		l.disk.FailAt(op, errCrashed)
	}
}

// strike carries out the crash once its input has been handled.
func (s *Sim) strike(l *life) {
	p := l.armed
	s.stats.Struck["crash-at"]++
	s.note(l.agent, "crashes at "+p.At, uint64(l.effects))
	l.disk.Fail(nil)
	s.crash(l.agent, p.Power)
	s.after(p.back, func() { s.start(l.agent) })
}
