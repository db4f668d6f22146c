package sim

import (
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem"
	"duckduckgoose/netem/check"
)

// raiseMarks makes the goose raise the mark by one, again and again (P9).
func (s *Sim) raiseMarks(random *netem.Random) {
	s.after(random.Between(100*time.Millisecond, 3*time.Second), func() {
		for _, a := range s.agents {
			s.command(a, (*life).raiseMarks)
		}
		s.raiseMarks(random)
	})
}

func (l *life) raiseMarks() (raised bool) {
	for _, e := range l.member.Elections() {
		if _, self := e.Goose(l.Now()); !self {
			continue
		}
		at, token := l.localOf(e.Name()), e.Node().Lease().Token
		mark, _ := e.Mark(l.Now())
		mark++
		l.member.AdvanceMark(e, mark, token, func(err error) {
			if err == nil && !at.struck {
				at.sim.stats.Marks++
				at.emit(check.Event{Kind: check.Raised, Token: token, Mark: mark})
			}
		})
		raised = true
	}
	return raised
}

// begins shows the checker the mark with which this agent begins another goose period.
func (at *local) begins(lease election.Lease) {
	if lease.Token == at.begun || at.member.Named(at.name) == nil {
		return
	}
	at.begun = lease.Token
	at.emit(check.Event{Kind: check.Began, Token: lease.Token, Mark: at.member.Named(at.name).Committed()})
}
