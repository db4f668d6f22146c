package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/why"
)

const (
	// whyQuestion asks an agent what it has promised, and what it waits for.
	whyQuestion = "why"
	// whyWait is how long the loop, and then the voters, may take to answer.
	whyWait = time.Second
	// answersKept is for how many leases a voter's answer to a campaign is worth
	// telling, and a campaign is of now.
	answersKept = 4
)

// Why explains this agent's role, and why there is no goose where it knows
// none: then it also asks the voters, who have a second for it. When the
// agent's own loop does not answer within a second or two leases, that is what
// it says.
func (a *Agent) Why(ctx context.Context) (api.Why, error) {
	patience, cancel := context.WithTimeout(ctx, max(2*a.cfg.Lease, whyWait))
	defer cancel()
	type known struct {
		facts  why.Facts
		ask    []member.Peer
		gossip *gossip.Gossip
	}
	k, err := ask(patience, a, func(l *life, answer func(known, error)) error {
		f := l.facts(l.now())
		answer(known{f, l.silentOn(&f), l.gossip}, nil)
		return nil
	})
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
	a.askVoters(ctx, k.gossip, k.ask, &k.facts)
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
	f.Join, f.Observer = l.cfg.Join, l.cfg.Observer // a reload changes them on the loop
	n := l.node()
	if n == nil {
		f.Bound = false
		if founder := l.member.Founder(); founder != nil {
			f.Founding = founder.Status(l.nameOf)
		}
		return f
	}
	left := func(end time.Duration) time.Duration { return max(0, end-now) }
	rec, promise := n.Record(), n.Promise()
	f.Bound, f.Leads = true, n.Role() == election.Leader
	f.HandingOver = l.member.Default().HandingOver()
	f.Waits, f.HandedOut, f.Silent = left(n.WaitUntil()), left(n.HandedTo()), left(n.QuietUntil())
	if f.Promised = left(promise.End); f.Promised > 0 {
		f.PromisedTo = l.nameOf(promise.To)
	}
	f.Heir = l.heirFact(now)
	f.PreemptAfter = l.cfg.PreemptsAfter()
	recent := now - answersKept*l.cfg.Lease
	f.Asked = l.member.AskedAt() > max(0, recent)
	contacts := map[election.ID]election.Contact{}
	for _, c := range n.Contacts(nil) {
		contacts[c.ID] = c
	}
	for _, m := range rec.Config.Members() {
		v := why.Voter{Name: l.nameOf(m.ID), ID: m.ID.String(), Self: m.ID == l.id, Priority: m.Priority, Heard: -1}
		for _, p := range l.peers {
			if p.ID == m.ID {
				v.State = p.State.String()
			}
		}
		switch addr, ok := l.member.Addr(m.ID); {
		case v.Self:
			v.Addr = l.port.Advertised().String()
		case ok:
			v.Addr = addr.String()
		}
		if c := contacts[m.ID]; n.TooFar(&c) {
			v.TooFar = c.RTT
		}
		v.Promise = left(contacts[m.ID].Expiry)
		s := l.member.Sighting(m.ID, now)
		v.Unanswered = s.Unanswered
		if s.HeardAt > 0 {
			v.Heard = now - s.HeardAt
		}
		if s.AnsweredAt > max(0, recent) {
			v.Answer = &why.Answer{Granted: s.Granted, Reason: refusals[s.Reason], Until: left(s.AnsweredAt + s.Remaining)}
		}
		f.Voters = append(f.Voters, v)
	}
	return f
}

// refusals says for people why a vote is refused.
var refusals = map[election.Reason]string{
	election.OldTerm:      "it knows a later term",
	election.Voted:        "it has voted for another in this term",
	election.OldConfig:    "it knows a newer set of voters",
	election.Promised:     "it has promised another to elect nobody else",
	election.Restarted:    "it has restarted, and waits",
	election.NotCandidate: "by its set of voters this agent may not lead",
	election.OtherLife:    "it has restarted since this agent last heard from it",
}

// silentOn gives the live voters that have to be asked what they have promised,
// since no goose tells.
func (l *life) silentOn(f *why.Facts) (peers []member.Peer) {
	if f.Goose != "" {
		return nil
	}
	for _, v := range f.Voters {
		if id, err := election.ParseID(v.ID); err != nil || v.Self {
			continue
		} else if p, ok := l.gossip.Alive(id); ok {
			peers = append(peers, p)
		}
	}
	return peers
}

// askVoters asks them all at once, for no longer than whyWait.
func (a *Agent) askVoters(ctx context.Context, g *gossip.Gossip, peers []member.Peer, f *why.Facts) {
	ctx, cancel := context.WithTimeout(ctx, whyWait)
	defer cancel()
	told := make([]*why.Told, len(peers))
	var asked sync.WaitGroup
	for i, p := range peers {
		asked.Go(func() {
			var t why.Told
			if b, err := g.Ask(ctx, p, whyQuestion, struct{}{}); err == nil && json.Unmarshal(b, &t) == nil {
				told[i] = &t
			}
		})
	}
	asked.Wait()
	for i, p := range peers {
		for j := range f.Voters {
			if f.Voters[j].ID == p.ID.String() {
				f.Voters[j].Told = told[i]
			}
		}
	}
}

// answerWhy tells another agent what this one has promised.
func (a *Agent) answerWhy(ctx context.Context, _ election.ID, _ json.RawMessage) (any, error) {
	t, err := ask(ctx, a, func(l *life, answer func(why.Told, error)) error {
		f := l.facts(l.now())
		answer(why.Told{Promised: f.Promised, PromisedTo: f.PromisedTo, Waits: f.Waits, Late: len(f.Late) > 0}, nil)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tell what was promised: %w", err)
	}
	return t, nil
}
