package sim

import (
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/netem/schedule"
)

func (s *Sim) opStop(o *schedule.Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		l.backIn = o.For
		l.member.Stop(member.Stopped)
		return true
	})
}

// command runs a command on an agent whose loop runs, and reports whether it did
// something.
func (s *Sim) command(a *agent, do func(*life) bool) (struck bool) {
	l := a.life
	if l == nil || !l.runs() || l.member.Stopping() {
		return false
	}
	l.turn(func() error { struck = do(l); return nil })
	return struck
}

// opHold attaches sessions to a running agent, or removes them.
func (s *Sim) opHold(o *schedule.Op, a *agent) bool {
	n, _ := strconv.Atoi(o.What)
	a.holders = n
	return s.command(a, func(l *life) bool {
		for _, name := range append([]string{""}, a.set.Elections...) {
			l.localOf(name).hold(n)
		}
		return true
	}) || n > 0
}

// opHealth sets the result of the check of an agent's work.
func (s *Sim) opHealth(o *schedule.Op, a *agent) bool {
	s.ends(o, func() { a.setUnwell(false) })
	return a.setUnwell(o.Verb == "unwell")
}

func (a *agent) setUnwell(unwell bool) (changed bool) {
	changed, a.unwell = a.unwell != unwell, unwell
	if l := a.life; l != nil {
		l.input(func() {
			l.unfit = unwell
			for _, e := range l.member.Elections() {
				l.member.HoldersChanged(e)
			}
		})
	}
	return changed
}

func (s *Sim) opFinish(_ *schedule.Op, a *agent) bool {
	if a.life == nil {
		return false
	}
	for _, at := range a.life.locals {
		for _, h := range at.holders {
			if h.token != 0 && h.doneAt == 0 {
				h.finish, h.doneAt = true, s.now+1
				s.watch(h)
				return true
			}
		}
	}
	return false
}

func (s *Sim) opStepDown(o *schedule.Op, a *agent) bool {
	who, name, _ := strings.Cut(o.What, " ")
	var to election.ID
	if b := s.agentNamed(who); b != nil {
		to = b.id
	}
	return s.command(a, func(l *life) bool { return l.stepDown(name, to) })
}

// stepDown is the command step-down. It may be refused.
func (l *life) stepDown(name string, to election.ID) bool {
	e := l.member.Named(name)
	if e == nil {
		return false
	}
	refused := false
	l.member.StepDown(e, to, false, func(_ election.ID, err error) { refused = err != nil })
	return !refused
}

func (s *Sim) opHandOver(o *schedule.Op, _ *agent) bool {
	every, _ := time.ParseDuration(o.What)
	s.handsOver = s.now + o.For
	s.handOver(every)
	return true
}

// handOver makes every goose of every election step down, again and again.
func (s *Sim) handOver(every time.Duration) {
	if s.now >= s.handsOver {
		return
	}
	for _, a := range s.agents {
		s.command(a, func(l *life) bool {
			for _, e := range l.member.Elections() {
				if _, self := e.Goose(l.Now()); self {
					l.stepDown(e.Name(), election.ID{})
				}
			}
			return true
		})
	}
	s.after(every, func() { s.handOver(every) })
}

func (s *Sim) opLeave(o *schedule.Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		refused := false
		_ = l.member.Leave(false, func(err error) { refused = err != nil })
		if !refused {
			l.backIn, l.leaving = o.For, true
		}
		return !refused
	})
}

func (s *Sim) opForceLeave(_ *schedule.Op, a *agent) bool {
	goose := s.goose()
	if goose == nil || goose == a {
		return false
	}
	return s.command(goose, func(l *life) bool {
		refused := false
		l.member.ForceLeave(a.id, func(err error) { refused = err != nil })
		return !refused
	})
}

// opFreeze is the command freeze, or thaw.
func (s *Sim) opFreeze(o *schedule.Op, a *agent) bool {
	return s.command(a, func(l *life) bool {
		_, err := l.member.StampFreeze(int64(s.now), o.For)
		return err == nil
	})
}

func (s *Sim) opPriority(o *schedule.Op, a *agent) bool {
	n, _ := strconv.ParseUint(o.What, 10, 8)
	a.set.Priority = uint8(n)
	return s.command(a, func(l *life) bool { l.member.Reload(a.set); return true }) || a.life == nil
}
