package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/why"
)

// Why explains this agent's role, and why there is no goose where it knows
// none: then it also asks the voters, who have a second for it. When the
// agent's own loop does not answer within a second or two leases, that is what
// it says.
func (a *Agent) Why(ctx context.Context) (api.Why, error) {
	patience, cancel := context.WithTimeout(ctx, max(2*a.cfg.Lease, why.Wait))
	defer cancel()
	type known struct {
		facts  why.Facts
		gossip *gossip.Gossip
	}
	k, err := look(patience, a, func(l *life) (known, error) { return known{l.facts(l.now()), l.gossip}, nil })
	switch {
	case err == nil:
	case errors.Is(err, errIsDead):
		s := a.Status()
		return why.Explain(why.Facts{Name: s.Name, Role: s.Role, Term: s.Term, Lease: a.cfg.Lease, Dead: true}), nil
	case ctx.Err() != nil:
		return api.Why{}, ctx.Err()
	case patience.Err() != nil:
		return why.Explain(a.postedFacts()), nil
	default:
		return api.Why{}, err
	}
	why.AskVoters(ctx, k.gossip, &k.facts)
	return why.Explain(k.facts), nil
}

func (b backend) Why(ctx context.Context) (api.Why, error) { return b.a.Why(ctx) }

// postedFacts are those that can be told without the loop.
func (a *Agent) postedFacts() why.Facts {
	f := a.roleFacts()
	f.Stale = max(a.cfg.Clock()-time.Duration(a.lastTurn.Load()), time.Millisecond)
	f.Promised = max(0, a.meters.PromiseEnd()-a.cfg.Clock())
	f.PromisedTo = "the goose it last heard"
	members := map[string]api.Member{}
	for _, m := range a.Members() {
		members[m.ID] = m
	}
	s := a.Status()
	for _, v := range s.Config.Voters {
		m := members[v.ID]
		f.Voters = append(f.Voters, why.Voter{
			Name: v.Name, ID: v.ID, Addr: m.Addr, Self: v.ID == s.ID, Priority: v.Priority, State: m.State, Heard: -1,
		})
	}
	return f
}

// roleFacts are what status shows.
func (a *Agent) roleFacts() why.Facts {
	s := a.Status()
	f := why.Facts{
		Name: s.Name, Role: s.Role, Term: s.Term, Lease: a.cfg.Lease, Bound: s.FlockID != "",
		LeaseLeft: time.Duration(s.Lease.RemainingMS * float64(time.Millisecond)), Netem: s.Netem,
		Late: a.main.holders.late(), Working: a.main.Holders().Working, Frozen: a.frozen(a.cfg.Clock()),
	}
	if s.Goose != nil {
		f.Goose, f.Heard = s.Goose.Name, time.Duration(s.Goose.HeardMS*float64(time.Millisecond))
	}
	return f
}

// facts are those that the loop knows.
func (l *life) facts(now time.Duration) why.Facts {
	f := l.roleFacts()
	f.Join, f.Observer, f.PreemptAfter = l.cfg.Join, l.cfg.Observer, l.cfg.PreemptsAfter() // a reload changes them on the loop
	if keys := l.keyFaults(now); len(keys) > 0 {
		f.Keys = strings.TrimSuffix(keys[0], sameKeys)
	}
	s := why.Source{Member: l.member, Self: l.id, Addr: l.port.Advertised(), Peers: l.peers, NameOf: l.nameOf}
	s.Gather(&f, now)
	return f
}

// answerWhy tells another agent what this one has promised.
func (a *Agent) answerWhy(ctx context.Context, _ election.ID, _ json.RawMessage) (any, error) {
	t, err := look(ctx, a, func(l *life) (why.Told, error) {
		f := l.facts(l.now())
		return f.Told(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("tell what was promised: %w", err)
	}
	return t, nil
}
