package agent

import (
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// handover is a planned end of being the goose: its work is stopped first, the
// lease renewed meanwhile, and only then is the successor asked (rule 16).
type handover struct {
	cause   string      // what holders are told
	to      election.ID // zero: the voter that ranks first
	stop    bool        // the agent goes away: resign when nobody can take over
	raiseTo uint64      // be elected anew above this term instead (rule 7); 0: hand over
	grace   time.Duration
	given   time.Duration // when the node gave up; 0: still waiting for the work to end
	// resigned: nobody took over in time, and the node resigned.
	resigned bool
	done     func(goose string, err error)
}

// beginHandover starts a planned end. done is called once, on the loop.
func (l *life) beginHandover(h handover) error {
	if l.handing != nil {
		h.done("", api.Conflict("a hand-over is already under way"))
		return nil
	}
	h.grace = l.now() + l.holders.grace(l.cfg.Grace)
	l.handing = &h
	l.holders.stopAll(h.cause)
	return l.progressHandover(l.now())
}

// progressHandover moves a planned end along: drain, give up, see the new goose.
func (l *life) progressHandover(now time.Duration) error {
	h := l.handing
	if h == nil {
		return nil
	}
	if h.given == 0 {
		leads := l.node.Role() == election.Leader
		if l.holders.working() > 0 && now < h.grace && leads {
			return nil
		}
		h.given = now
		if err := l.tellHolders(); err != nil {
			return err
		}
		if !leads { // the lead was lost while work ended: what was asked for happens by itself
			return nil
		}
		var in election.Input = election.StepDown{To: h.to, Stop: h.stop}
		if h.raiseTo != 0 {
			in = election.RaiseTerm{Term: h.raiseTo}
		}
		if err := l.step(in); err != nil {
			return err
		}
		if l.fx.Err != nil {
			return l.endHandover("", l.explain(l.fx.Err, h.to))
		}
	}
	if l.node.Role() != election.Leader || !l.node.HandingOver() {
		switch id, _, heardAt := l.node.Heard(); {
		case h.raiseTo != 0 && l.node.Role() == election.Leader:
			return l.endHandover(l.cfg.Name, nil)
		case id != l.id && !id.IsZero() && heardAt > h.given:
			return l.endHandover(l.nameOf(id), nil)
		case h.resigned:
			return l.endHandover("", api.Timeout("no other agent took over; this one resigned, and the flock elects anew"))
		}
	}
	if bound := max(h.given, l.node.HandedTo()) + 2*l.cfg.Lease; now >= bound {
		return l.endHandover("", api.Timeout("no other agent became goose within two leases (%v)", 2*l.cfg.Lease))
	}
	return nil
}

func (l *life) endHandover(goose string, err error) error {
	h := l.handing
	l.handing = nil
	h.done(goose, err)
	return l.syncHolders()
}

// explain turns a refusal of the rules into what a person can act on.
func (l *life) explain(err error, to election.ID) error {
	switch err {
	case election.ErrNotLeader:
		return l.notGoose()
	case election.ErrNoSuccessor:
		return api.Conflict("no other live voter of priority above 0 can take over: start another agent, or wait until it is a voter (ddgoose members)")
	case election.ErrNotVoter:
		return api.Conflict("%s is not a voter of priority above 0 and cannot take over (ddgoose members shows who is)", l.nameOf(to))
	case election.ErrUnreachable:
		return api.Conflict("%s does not answer and cannot take over", l.nameOf(to))
	case election.ErrHandingOver:
		return api.Conflict("a hand-over is already under way")
	}
	return err
}

// notGoose says who is, so that the command can be given there.
func (l *life) notGoose() error {
	if l.node != nil {
		if id, _, heardAt := l.node.Heard(); !id.IsZero() && id != l.id && l.now() < heardAt+l.cfg.Lease {
			if addr, ok := l.book.Addr(id); ok {
				return api.Conflict("%s is the goose, at %s", l.nameOf(id), addr)
			}
		}
	}
	return api.Conflict("this agent is not the goose, and knows none")
}

// stopping is the end of a life by the caller's wish.
type stopping struct {
	started bool
	done    bool
	until   time.Duration
}

// beginStop hands over, if there is something to hand over, and ends the life.
func (l *life) beginStop() error { return l.endLife(stopStopped) }

func (l *life) endLife(cause string) error {
	l.leaving = stopping{started: true, until: l.now() + l.holders.grace(l.cfg.Grace) + 4*l.cfg.Lease}
	l.holders.stopAll(cause)
	if l.node == nil || l.node.Role() != election.Leader {
		l.leaving.done = true
		return nil
	}
	ended := func(goose string, err error) {
		if goose != "" {
			l.log.Info("handed over", "goose", goose)
		}
		l.leaving.done = true
	}
	if h := l.handing; h != nil && (h.raiseTo == 0 || h.given != 0) {
		planned := h.done
		h.stop, h.done = true, func(goose string, err error) {
			planned(goose, err)
			ended(goose, err)
		}
		return nil
	}
	l.handing = nil // it was only to come back at a higher term
	return l.beginHandover(handover{cause: cause, stop: true, done: ended})
}

// progressStop moves planned ends along; it is called every turn.
func (l *life) progressStop(now time.Duration) error {
	if err := l.progressHandover(now); err != nil {
		return err
	}
	if l.leaving.started && now >= l.leaving.until {
		l.leaving.done = true
	}
	return nil
}
