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
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/member"
)

// Why explains this agent's role in the default election: see [Election.Why].
func (a *Agent) Why(ctx context.Context) (api.Why, error) { return a.byDefault().Why(ctx) }

// Why explains this agent's role in the election. If it knows no goose, it asks the
// voters, which have a second to answer, and explains why there is none. If its own
// loop does not answer within a second or two leases, it says so.
func (e *Election) Why(ctx context.Context) (api.Why, error) {
	a, at := e.a, e.at
	patience, cancel := context.WithTimeout(ctx, max(2*a.cfg.Lease, why.Wait))
	defer cancel()
	type known struct {
		facts  why.Facts
		gossip *gossip.Gossip
	}
	k, err := look(patience, a, func(l *life) (known, error) { return known{l.facts(at, l.now()), l.gossip}, nil })
	switch {
	case err == nil:
	case errors.Is(err, errIsDead):
		s := e.Status()
		return why.Explain(why.Facts{Election: at.name, Name: s.Name, Role: s.Role, Term: s.Term, Lease: a.cfg.Lease, Dead: true}), nil
	case ctx.Err() != nil:
		return api.Why{}, ctx.Err()
	case patience.Err() != nil:
		return why.Explain(e.postedFacts()), nil
	default:
		return api.Why{}, err
	}
	why.AskVoters(ctx, k.gossip, &k.facts)
	return why.Explain(k.facts), nil
}

// postedFacts returns the facts that are known without the loop.
func (e *Election) postedFacts() why.Facts {
	a, f := e.a, e.a.roleFacts(e.at)
	f.Stale = max(a.cfg.Clock()-time.Duration(a.lastTurn.Load()), time.Millisecond)
	if e.at == a.main {
		f.Promised = max(0, a.meters.PromiseEnd()-a.cfg.Clock())
		f.PromisedTo = "the goose it last heard"
	}
	members := map[string]api.Member{}
	for _, m := range a.Members() {
		members[m.ID] = m
	}
	s := e.Status()
	for _, v := range s.Config.Voters {
		m := members[v.ID]
		f.Voters = append(f.Voters, why.Voter{
			Name: v.Name, ID: v.ID, Addr: m.Addr, Self: v.ID == s.ID, Priority: v.Priority, State: m.State, Heard: -1,
		})
	}
	return f
}

// roleFacts returns the facts that status shows.
func (a *Agent) roleFacts(at *local) why.Facts {
	s := at.snapshots.Read()
	f := why.Facts{
		Election: at.name, Uncontested: at != a.main && !at.contested, Name: s.Name, Role: s.Role, Term: s.Term, Lease: a.cfg.Lease, Bound: s.FlockID != "",
		LeaseLeft: time.Duration(s.Lease.RemainingMS * float64(time.Millisecond)), Netem: s.Netem, EndsNetem: a.endsNetem(s.Netem),
		Late: at.holders.late(), Working: at.Holders().Working, Frozen: a.frozen(a.cfg.Clock()),
	}
	if now := at.checked.wellness(); now.health == member.Unwell {
		f.Unwell = now.why
	}
	if s.Goose != nil {
		f.Goose, f.Heard = s.Goose.Name, time.Duration(s.Goose.HeardMS*float64(time.Millisecond))
	}
	return f
}

// facts returns the facts that the loop knows.
func (l *life) facts(at *local, now time.Duration) why.Facts {
	f := l.roleFacts(at)
	f.Join, f.Observer = l.gossip.OtherSeeds(), l.cfg.Observer // a reload changes them on the loop
	f.Netem = l.namedRules()
	if at == l.main {
		f.PreemptAfter = l.cfg.PreemptsAfter()
	}
	if keys := l.keyFaults(now); len(keys) > 0 {
		f.Keys = strings.TrimSuffix(keys[0], sameKeys)
	}
	if f.Goose == "" {
		at.catchUp()
		f.Gooseless = now - at.succession.seenAt
	}
	s := why.Source{Member: l.member, Part: l.member.Named(at.name), Self: l.id, Addr: l.port.Advertised(), Peers: l.peers(), NameOf: l.nameOf}
	if at.succession.goose == l.main.succession.goose { // another goose may hear those voters
		s.Silent = l.warnings.silent
	}
	s.Gather(&f, now)
	return f
}

// answerWhy tells another agent what this one has promised.
func (a *Agent) answerWhy(ctx context.Context, _ election.ID, question json.RawMessage) (any, error) {
	var asked why.Asked
	if err := json.Unmarshal(question, &asked); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	e, err := a.Election(asked.Election)
	if err != nil {
		return nil, err
	}
	t, err := look(ctx, a, func(l *life) (why.Told, error) {
		f := l.facts(e.at, l.now())
		return f.Told(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	return t, nil
}
