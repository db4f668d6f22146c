package agent

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
)

// backend is the agent as the API's server sees it.
type backend struct {
	electionBackend // the default one
	a               *Agent
}

func newBackend(a *Agent) backend { return backend{electionBackend{a.byDefault()}, a} }

var _ api.Backend = backend{}

func (b backend) Healthy() error                          { return b.a.Healthy() }
func (b backend) Metrics() http.Handler                   { return b.a.metrics }
func (b backend) Revive() error                           { return b.a.Revive() }
func (b backend) Die(d time.Duration) error               { return b.a.Die(d) }
func (b backend) Members() []api.Member                   { return b.a.Members() }
func (b backend) Leave(ctx context.Context, f bool) error { return b.a.Leave(ctx, f) }

func (b backend) ForceLeave(ctx context.Context, name string) error     { return b.a.ForceLeave(ctx, name) }
func (b backend) Join(ctx context.Context, addrs []string) (int, error) { return b.a.Join(ctx, addrs) }

func (b backend) Elections() []api.ElectionInfo {
	s := b.a.Status()
	infos := []api.ElectionInfo{s.Info(true)}
	for _, at := range b.a.otherLocals() {
		s := at.snapshots.read()
		infos = append(infos, s.Info(at.contested))
	}
	return infos
}

func (b backend) Election(name string) (api.ElectionBackend, error) {
	e, err := b.a.Election(name)
	if err != nil {
		return nil, err
	}
	return electionBackend{e}, nil
}

// electionBackend is an election as the API's server sees it.
type electionBackend struct{ e *Election }

func (b electionBackend) Status() Status                             { return b.e.Status() }
func (b electionBackend) Watch(ctx context.Context) iter.Seq[Status] { return b.e.Watch(ctx) }

func (b electionBackend) StepDown(ctx context.Context, to string, force bool) (string, error) {
	return b.e.stepDown(ctx, to, force)
}

func (b electionBackend) Lead(ctx context.Context, peer api.LeadPeer) (api.Holder, error) {
	h := b.e.newHolder(fmt.Sprintf("process %d", peer.PID))
	h.grace, h.alone = min(peer.Grace, api.MaxGrace), peer.Alone
	if err := b.e.hold(ctx, h); err != nil {
		return nil, err
	}
	return h, nil
}

func (b backend) Faults() api.Faults {
	f := b.a.faults.Load()
	if f == nil {
		return nil
	}
	return liveFaults{b.a, *f}
}

func (l *life) stepDown(e *member.Election, to string, force bool, answer func(string, error)) {
	var id election.ID
	if to != "" && e.Node() != nil && e.Node().Role() == election.Leader {
		p, ok := l.peerNamed(to)
		if !ok {
			answer("", noAgent(to))
			return
		}
		id = p.ID
	}
	l.member.StepDown(e, id, force, func(goose election.ID, err error) {
		answer(l.nameOrNone(goose), l.explained(err))
	})
}

func noAgent(name string) error {
	return api.WithCode(api.CodeNoAgent, api.Conflict("no agent is named %q", name))
}

func (l *life) peerNamed(name string) (member.Peer, bool) {
	i := slices.IndexFunc(l.peers, func(p member.Peer) bool { return p.Meta.Name == name && p.State == member.Alive })
	if i < 0 {
		i = slices.IndexFunc(l.peers, func(p member.Peer) bool { return p.Meta.Name == name || p.ID.String() == name })
	}
	if i < 0 {
		return member.Peer{}, false
	}
	return l.peers[i], true
}

// ForceLeave takes a voter that will never return out of the voters. It is
// given to the goose.
func (a *Agent) ForceLeave(ctx context.Context, name string) error {
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		id, ok := l.deadNamed(name)
		if !ok && l.member.Leads(l.now()) {
			answer(struct{}{}, noAgent(name))
			return nil
		}
		l.member.ForceLeave(id, func(err error) { answer(struct{}{}, l.explained(err)) })
		return nil
	})
	return err
}

// deadNamed finds an agent by name or id among the members, and voters that gossip
// has forgotten. Of several of one name it gives a dead one, a voter if there is
// one: an agent that lost its disk came back under its name with another id.
func (l *life) deadNamed(name string) (id election.ID, ok bool) {
	if l.node() != nil {
		rec := l.node().Record()
		for _, v := range rec.Config.Members() {
			if v.ID.String() == name || l.nameOf(v.ID) == name && !l.member.IsAlive(v.ID) {
				return v.ID, true
			}
		}
	}
	for _, p := range l.peers {
		if p.Meta.Name == name && p.State == member.Failed {
			return p.ID, true
		}
	}
	p, ok := l.peerNamed(name)
	return p.ID, ok
}

// Join calls more agents, and gives how many answered; this one never counts.
func (a *Agent) Join(ctx context.Context, addrs []string) (int, error) {
	g, err := look(ctx, a, func(l *life) (*gossip.Gossip, error) { return l.gossip, nil })
	if err != nil {
		return 0, err
	}
	return g.Join(ctx, addrs)
}

// Members lists every agent known, failed ones for a day.
func (a *Agent) Members() []api.Member {
	m := a.members.Load()
	if m == nil {
		return []api.Member{}
	}
	s := a.Status()
	list := slices.Clone(*m)
	for i := range list {
		list[i].Role = api.RoleDuck
		if s.Goose != nil && s.Goose.ID == list[i].ID {
			list[i].Role = api.RoleGoose
		}
	}
	return list
}

// postMembers publishes the members for readers; their roles are judged at the call.
func (l *life) postMembers() {
	var list []api.Member
	var config election.Config
	if n := l.node(); n != nil {
		rec := n.Record()
		config = rec.Config
	}
	rtt := map[election.ID]time.Duration{}
	for _, c := range l.contacts() {
		rtt[c.ID] = c.RTT
	}
	for _, p := range l.peers {
		m := api.Member{
			Name: p.Meta.Name, ID: p.ID.String(), Addr: p.Addr.String(), State: p.State.String(), Voter: config.Has(p.ID),
			Priority: p.Meta.Priority, Tags: p.Meta.Tags,
		}
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		if d := cmp.Or(rtt[p.ID], p.RTT); d > 0 && p.ID != l.id {
			ms := millis(d)
			m.RTTMS = &ms
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b api.Member) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	l.members.Store(&list)
}

// liveFaults is the network emulator behind /v1/netem.
type liveFaults struct {
	a *Agent
	f Faults
}

func (l liveFaults) Set(rules string, d time.Duration) error {
	if err := l.f.Set(rules, d); err != nil {
		return err
	}
	l.a.cfg.Logger.Warn("fault rules in force", "rules", rules, "for", d)
	l.a.lookAgain()
	return nil
}

func (l liveFaults) Clear() {
	l.f.Clear()
	l.a.cfg.Logger.Warn("fault rules cleared")
	l.a.lookAgain()
}

func (l liveFaults) Show() api.Netem {
	rules, expires, seed := l.f.Show()
	n := api.Netem{Rules: rules, Seed: seed}
	if rules != "" && expires >= 0 {
		s := expires.Seconds()
		n.ExpiresIn = &s
	}
	return n
}

// lookAgain makes the loop see now what it would see a moment later.
func (a *Agent) lookAgain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		err := l.tend(l.now())
		answer(struct{}{}, err)
		return err
	})
}

// Healthy says what is wrong with this agent: dead, or its loop hangs. nil: nothing.
func (a *Agent) Healthy() error {
	if a.Status().Role == api.RoleDead {
		return errIsDead
	}
	if stale := a.cfg.Clock() - time.Duration(a.lastTurn.Load()); stale > a.cfg.Lease {
		return fmt.Errorf("the loop has not turned for %v", stale.Round(time.Millisecond))
	}
	return nil
}
