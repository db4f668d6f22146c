package agent

import (
	"slices"
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
func (c *contest) beginHandover(h handover) {
	if c.handing != nil {
		h.done("", api.Conflict("a hand-over is already under way"))
		return
	}
	h.grace = c.l.now() + c.seat.holders.grace(c.l.cfg.Grace)
	c.handing = &h
	c.l.handings++
	c.seat.holders.stopAll(h.cause)
	c.progressHandover(c.l.now())
}

// progressHandover moves a planned end along: drain, give up, see the new goose.
func (c *contest) progressHandover(now time.Duration) {
	h := c.handing
	if h == nil {
		return
	}
	if h.given == 0 {
		leads := c.node.Role() == election.Leader
		if c.seat.holders.working() > 0 && now < h.grace && leads {
			return
		}
		h.given = now
		c.tellHolders()
		if !leads { // the lead was lost while work ended: what was asked for happens by itself
			return
		}
		to := h.to
		if to.IsZero() {
			to = c.heir(now)
		}
		var in election.Input = election.StepDown{To: to, Stop: h.stop}
		if h.raiseTo != 0 {
			in = election.RaiseTerm{Term: h.raiseTo}
		}
		c.step(in)
		if c.fx.Err != nil {
			c.endHandover("", c.explain(c.fx.Err, h.to))
			return
		}
	}
	if c.node.Role() != election.Leader || !c.node.HandingOver() {
		switch id, _, heardAt := c.node.Heard(); {
		case h.raiseTo != 0 && c.node.Role() == election.Leader:
			c.endHandover(c.l.cfg.Name, nil)
			return
		case id != c.l.id && !id.IsZero() && heardAt > h.given:
			c.endHandover(c.l.nameOf(id), nil)
			return
		case h.resigned:
			c.endHandover("", api.Timeout("no other agent took over; this one resigned, and the flock elects anew"))
			return
		}
	}
	if lease := c.l.cfg.Lease; now >= max(h.given, c.node.HandedTo())+2*lease {
		c.endHandover("", api.Timeout("no other agent became goose within two leases (%v)", 2*lease))
	}
}

// endHandoverOf ends a planned end, if there is one, because nothing is left to end.
func (c *contest) endHandoverOf(why string) {
	if h := c.handing; h != nil {
		c.dropHandover()
		h.done("", api.Conflict("%s", why))
	}
}

func (c *contest) dropHandover() {
	c.handing = nil
	c.l.handings--
}

func (c *contest) endHandover(goose string, err error) {
	h := c.handing
	c.dropHandover()
	h.done(goose, err)
	c.syncHolders()
}

// explain turns a refusal of the rules into what a person can act on.
func (c *contest) explain(err error, to election.ID) error {
	switch err {
	case election.ErrNotLeader:
		return c.notGoose()
	case election.ErrNoSuccessor:
		return api.Conflict("no other live voter of priority above 0 can take over: start another agent, or wait until it is a voter (ddgoose members)")
	case election.ErrNotVoter:
		return api.Conflict("%s is not a voter of priority above 0 and cannot take over (ddgoose members shows who is)", c.l.nameOf(to))
	case election.ErrUnreachable:
		return api.Conflict("%s does not answer and cannot take over", c.l.nameOf(to))
	case election.ErrHandingOver:
		return api.Conflict("a hand-over is already under way")
	}
	return err
}

// notGoose says who is, so that the command can be given there.
func (c *contest) notGoose() error {
	if c.node != nil {
		l := c.l
		if id, _, heardAt := c.node.Heard(); !id.IsZero() && id != l.id && l.now() < heardAt+l.cfg.Lease {
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

// endLife hands over what there is to hand over, and ends the life.
func (l *life) endLife(cause string) {
	var grace time.Duration
	for _, c := range l.contests {
		grace = max(grace, c.seat.holders.grace(l.cfg.Grace))
	}
	l.leaving = stopping{started: true, until: l.now() + grace + 4*l.cfg.Lease}
	for _, c := range l.contests {
		c.end(cause)
	}
}

// end hands over, if this agent leads, as the life ends.
func (c *contest) end(cause string) {
	c.seat.holders.stopAll(cause)
	if c.node == nil || c.node.Role() != election.Leader {
		c.endsHere()
		return
	}
	ended := func(goose string, err error) {
		if goose != "" {
			c.log().Info("handed over", "goose", goose)
		}
		c.endsHere()
	}
	if h := c.handing; h != nil && (h.raiseTo == 0 || h.given != 0) {
		planned := h.done
		h.stop, h.done = true, func(goose string, err error) {
			planned(goose, err)
			ended(goose, err)
		}
		return
	}
	if c.handing != nil {
		c.dropHandover() // it was only to come back at a higher term
	}
	c.beginHandover(handover{cause: cause, stop: true, done: ended})
}

// endsHere books that nothing of this election keeps the life from ending. While
// another does, this agent is not elected again.
func (c *contest) endsHere() {
	c.ended = true
	c.tellHolders()
}

// progressStop moves planned ends along; it is called every turn.
func (l *life) progressStop(now time.Duration) {
	if l.handings > 0 {
		for _, c := range l.contests {
			c.progressHandover(now)
		}
	}
	if !l.leaving.started {
		return
	}
	unended := slices.ContainsFunc(l.contests, func(c *contest) bool { return !c.ended })
	if !unended || now >= l.leaving.until {
		l.leaving.done = true
	}
}
