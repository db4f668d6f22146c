package agent

import (
	"context"
	"errors"
	"iter"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/lead"
)

// Election is one of the elections of an agent's flock: the default one, or one
// of Config.Elections. Each has its own goose, terms, tokens and leases.
type Election struct {
	a  *Agent
	at *local
}

// Election returns an election by name: one that this agent contests, or another of
// its flock; "": the default one.
func (a *Agent) Election(name string) (*Election, error) {
	if name == "" {
		return a.byDefault(), nil
	}
	for _, at := range a.otherLocals() {
		if at.name == name {
			return &Election{a, at}, nil
		}
	}
	return nil, api.NoElection(name)
}

func (a *Agent) byDefault() *Election { return &Election{a, a.main} }

// Status returns what this agent knows of the election: see [Agent.Status].
func (e *Election) Status() Status { return e.at.snapshots.Read() }

// Watch yields the status at once and after every change: see [Agent.Watch].
func (e *Election) Watch(ctx context.Context) iter.Seq[Status] {
	return e.at.snapshots.Watch(ctx, e.a.closed)
}

// Lead calls work once per time this agent is the goose of this election: see
// [Agent.Lead]. An agent that does not contest the election refuses.
func (e *Election) Lead(ctx context.Context, work func(context.Context, Lease) error, opts ...lead.Option) error {
	h := e.newHolder("Lead")
	h.shown.Ends = lead.Ends
	if err := e.hold(ctx, h); err != nil {
		return err
	}
	defer h.Close()
	return lead.Run(ctx, h, e.a.cfg.Clock, work, opts...)
}

// hold registers a holder, which gets deadlines from now on. It does so on the loop,
// so that the election knows of every deadline before it is handed out. A dead agent
// hands out none.
func (e *Election) hold(ctx context.Context, h *holder) error {
	a := e.a
	if !e.at.contested {
		return api.WithCode(api.CodeUncontested, api.Conflict("this agent votes in election %q, and does not contest it", e.at.name))
	}
	for {
		err := a.onLoop(ctx, func(l *life) error {
			h.at.holders.add(h)
			if part := l.member.Named(h.at.name); part != nil {
				l.member.HolderAttached(part)
			}
			h.look()
			return nil
		})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errIsDead):
			h.Close() // the loop may have registered it already
			return err
		}
		h.at.holders.add(h) // the next life finds it; adding it twice does no harm
		h.look()
		select {
		case <-a.death.next():
			return nil
		default: // revived meanwhile: the new life may have missed it
		}
	}
}

// StepDown makes this agent hand over this election: see [Agent.StepDown].
func (e *Election) StepDown(ctx context.Context, to string) error {
	_, err := e.stepDown(ctx, to, false, "this program")
	return err
}

// stepDown is StepDown; by is who asks for it, for the log.
func (e *Election) stepDown(ctx context.Context, to string, force bool, by string) (goose string, err error) {
	return ask(ctx, e.a, func(l *life, answer func(string, error)) error {
		part := l.member.Named(e.at.name)
		if part == nil {
			answer("", api.Conflict("election %q has not begun yet at this agent", e.at.name))
			return nil
		}
		var id election.ID
		if to != "" && part.Node() != nil && part.Node().Role() == election.Leader {
			p, ok := l.peerNamed(to)
			if !ok {
				answer("", noAgent(to))
				return nil
			}
			id = p.ID
		}
		l.ends(e.at.name, api.EndedStepDown, "step-down asked for by "+by)
		l.member.StepDown(part, id, force, func(goose election.ID, err error) {
			if err != nil {
				e.at.succession.goesOn() // or its lead ends for another reason
			}
			answer(l.nameOrNone(goose), l.explained(err))
		})
		return nil
	})
}
