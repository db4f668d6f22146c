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
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
)

// backend is the agent as the API's server sees it. Its Status, Watch, StepDown and
// Lead are those of the default election: Go prefers the embedded electionBackend's,
// which are less deeply embedded than the agent's.
type backend struct {
	electionBackend // the default one
	whole
}

type whole struct{ *Agent }

func newBackend(a *Agent) backend { return backend{electionBackend{a.byDefault()}, whole{a}} }

var _ api.Backend = backend{}

// FlockCommands returns the part of the API that doctor.go and keys.go implement.
func (b backend) FlockCommands() api.FlockCommands { return b.Agent }
func (b backend) Metrics() http.Handler            { return b.metrics }

func (b backend) Elections() []api.ElectionInfo {
	s := b.Status()
	infos := []api.ElectionInfo{s.Info(true)}
	for _, at := range b.otherLocals() {
		s := at.snapshots.Read()
		infos = append(infos, s.Info(at.contested))
	}
	return infos
}

func (b backend) Election(name string) (api.ElectionBackend, error) {
	e, err := b.Agent.Election(name)
	if err != nil {
		return nil, err
	}
	return electionBackend{e}, nil
}

// electionBackend is an election as the API's server sees it.
type electionBackend struct{ e *Election }

func (b electionBackend) Status() Status       { return b.e.Status() }
func (b electionBackend) History() api.History { return b.e.History() }

func (b electionBackend) Watch(ctx context.Context) iter.Seq[Status] { return b.e.Watch(ctx) }
func (b electionBackend) Why(ctx context.Context) (api.Why, error)   { return b.e.Why(ctx) }

func (b electionBackend) StepDown(ctx context.Context, to string, force bool) (string, error) {
	return b.e.stepDown(ctx, to, force, api.CallerName(ctx))
}

func (b electionBackend) Mark(ctx context.Context) (api.Mark, error) { return b.e.mark(ctx) }

func (b electionBackend) Advance(ctx context.Context, to, token uint64, slot time.Duration) error {
	if slot > 0 {
		if err := b.e.checkSlot(ctx, to, slot); err != nil {
			return err
		}
	}
	return b.e.advance(ctx, to, token)
}

func (b electionBackend) Lead(ctx context.Context, peer api.LeadPeer) (api.Holder, error) {
	h := b.e.newHolder(fmt.Sprintf("process %d", peer.PID))
	h.pid, h.grace, h.alone, h.acks = peer.PID, min(peer.Grace, api.MaxGrace), peer.Alone, peer.Acks
	h.outside, h.proof = true, b.e.a.newProof()
	h.shown.Kind, h.shown.Ends = cmp.Or(peer.Work, h.shown.Kind), peer.Ends
	if peer.Cgroup != "" {
		h.kill = killerOf(peer.PID, peer.Cgroup)
		h.acks = h.acks && h.kill != nil // else this agent could not end the work
	}
	if err := b.e.hold(ctx, h); err != nil {
		return nil, err
	}
	return h, nil
}

func (b backend) Faults() api.Faults {
	f := b.faults.Load()
	if f == nil {
		return nil
	}
	return liveFaults{b.Agent, *f}
}

func noAgent(name string) error {
	return api.WithCode(api.CodeNoAgent, api.Conflict("no agent is named %q", name))
}

func (l *life) peerNamed(name string) (member.Peer, bool) {
	p, ok := l.peer(func(p *member.Peer) bool { return p.Meta.Name == name && p.State == member.Alive })
	if !ok {
		return l.peer(func(p *member.Peer) bool { return p.Meta.Name == name || p.ID.String() == name })
	}
	return p, true
}

// ForceLeave removes a voter that will never return. Only the goose can do it.
func (a *Agent) ForceLeave(ctx context.Context, name string) error {
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		id, ok := l.deadNamed(name)
		if !ok && l.member.Leads(l.now()) {
			answer(struct{}{}, noAgent(name))
			return nil
		}
		l.member.ForceLeave(id, func(err error) {
			if err = l.explained(err); !ok { // the goose may know more
				err = fmt.Errorf("%w; no agent known here is named %q", err, name)
			}
			answer(struct{}{}, err)
		})
		return nil
	})
	return err
}

// deadNamed finds an agent by name or id among the members and the voters that gossip
// has forgotten. If several have the name, it prefers dead ones, and voters among
// them: an agent that lost its disk comes back with its name and another id.
func (l *life) deadNamed(name string) (id election.ID, ok bool) {
	if l.node() != nil {
		rec := l.node().Record()
		for _, v := range rec.Config.Members() {
			if v.ID.String() == name || l.nameOf(v.ID) == name && !l.member.IsAlive(v.ID) {
				return v.ID, true
			}
		}
	}
	p, ok := l.peer(func(p *member.Peer) bool { return p.Meta.Name == name && p.State == member.Failed })
	if !ok {
		p, ok = l.peerNamed(name)
	}
	return p.ID, ok
}

// Join calls more agents and returns how many answered, this one not counted.
func (a *Agent) Join(ctx context.Context, addrs []string) (int, error) {
	g, err := look(ctx, a, func(l *life) (*gossip.Gossip, error) { return l.gossip, nil })
	if err != nil {
		return 0, err
	}
	return g.Join(ctx, addrs)
}

// membersView is what the list of members needs besides gossip. It is immutable.
type membersView struct {
	gossip   *gossip.Gossip
	self     election.ID
	config   election.Config
	contacts []election.Contact
	silent   []election.ID // voters that do not answer
}

// Members lists every known agent, failed ones for a day. It makes the list at each
// call, because the list is long in a large flock and seldom asked for.
func (a *Agent) Members() []api.Member {
	v := a.members.Load()
	if v == nil {
		return []api.Member{}
	}
	s := a.main.snapshots.Uncounted()
	rtt := map[election.ID]time.Duration{}
	for _, c := range v.contacts {
		rtt[c.ID] = c.RTT
	}
	list := []api.Member{}
	for _, p := range v.gossip.Peers() {
		m := api.Member{
			Name: p.Meta.Name, ID: p.ID.String(), Addr: p.Addr.String(), State: p.State.String(), Role: api.RoleDuck, Voter: v.config.Has(p.ID),
			Priority: p.Meta.Priority, Work: p.Meta.Work, Well: isWell(p.Meta.Health), Tags: p.Meta.Tags, Version: p.Meta.Version,
		}
		if p.State == member.Alive && slices.Contains(v.silent, p.ID) {
			m.State = api.StateSuspect // until gossip counts it as failed
		}
		if s.Goose != nil && s.Goose.ID == m.ID {
			m.Role = api.RoleGoose
		}
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		if d := cmp.Or(rtt[p.ID], p.RTT); d > 0 && p.ID != v.self {
			m.RTTMS = new(api.Millis(d))
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b api.Member) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return list
}

// showMembers publishes what Members needs.
func (l *life) showMembers() {
	v := &membersView{gossip: l.gossip, self: l.id, contacts: l.contacts(), silent: l.warnings.silent}
	if n := l.node(); n != nil {
		rec := n.Record()
		v.config = rec.Config
	}
	l.members.Store(v)
}

// liveFaults is the network emulator behind /v1/netem.
type liveFaults struct {
	a *Agent
	f Faults
}

func (l liveFaults) Set(rules string, d time.Duration) error {
	if w := l.a.warden; w != nil {
		w.Hush(true) // until the loop sees that no rules are in force
	}
	if err := l.f.Set(rules, d); err != nil {
		return err
	}
	lasts := "until cleared"
	if d > 0 {
		lasts = d.String()
	}
	l.a.cfg.Logger.Warn("fault rules in force", "rules", rules, "for", lasts)
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
		n.ExpiresIn = new(expires.Seconds())
	}
	return n
}

// lookAgain has the loop refresh status and warnings now.
func (a *Agent) lookAgain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = a.onLoop(ctx, func(l *life) error {
		l.tend(l.now())
		return nil
	})
}

// Healthy returns an error if this agent is dead by simulation or its loop hangs.
func (a *Agent) Healthy() error {
	if a.Status().Role == api.RoleDead {
		return errIsDead
	}
	if stale := a.cfg.Clock() - time.Duration(a.lastTurn.Load()); stale > a.cfg.Lease {
		return fmt.Errorf("the loop has not run for %v", stale.Round(time.Millisecond))
	}
	return nil
}
