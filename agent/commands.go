package agent

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// backend is the agent as the API's server sees it.
type backend struct {
	electionBackend // the default one
	a               *Agent
}

func newBackend(a *Agent) backend { return backend{electionBackend{a.byDefault()}, a} }

var _ api.Backend = backend{}

func (b backend) Healthy() error                          { return b.a.healthy() }
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
	for _, seat := range b.a.allSeats() {
		s := seat.board.read()
		infos = append(infos, s.Info(seat.contested))
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
	h.grace = min(peer.Grace, MaxGrace)
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

func (c *contest) commandStepDown(to string, force bool, answer func(string, error)) {
	l := c.l
	if c.node == nil || c.node.Role() != election.Leader {
		answer("", c.notGoose())
		return
	}
	if left := l.frozen(l.now()); left > 0 && !force {
		answer("", api.Conflict("the flock is frozen for %s more (ddgoose thaw ends that, and ddgoose step-down --force hands over all the same)", thawsIn(left)))
		return
	}
	var id election.ID
	if to != "" {
		p, ok := l.peerNamed(to)
		if !ok {
			answer("", api.Conflict("no agent is named %q (ddgoose members lists them)", to))
			return
		}
		id = p.ID
	}
	c.beginStepDown(id, answer)
}

// beginStepDown begins a hand-over. It checks on a copy of the node whether it can,
// so that no work is stopped for one that cannot.
func (c *contest) beginStepDown(to election.ID, done func(goose string, err error)) {
	if c.number != 0 && to.IsZero() {
		if to = c.heir(c.l.now()); to.IsZero() {
			done("", api.Conflict("no other live voter contests election %s: start another agent with --election %s, or wait until it answers", c.seat.name, c.seat.name))
			return
		}
	}
	trial := *c.node
	var fx election.Effects
	trial.Step(c.l.now(), election.StepDown{To: to}, &fx)
	if fx.Err != nil {
		done("", c.explain(fx.Err, to))
		return
	}
	c.beginHandover(handover{cause: stopSteppedDown, to: to, done: done})
}

func (l *life) peerNamed(name string) (peer, bool) {
	i := slices.IndexFunc(l.peers, func(p peer) bool { return p.Meta.Name == name && p.State == api.StateAlive })
	if i < 0 {
		i = slices.IndexFunc(l.peers, func(p peer) bool { return p.Meta.Name == name || p.ID.String() == name })
	}
	if i < 0 {
		return peer{}, false
	}
	return l.peers[i], true
}

// ForceLeave takes a voter that will never return out of the voters. It is
// given to the goose.
func (a *Agent) ForceLeave(ctx context.Context, name string) error {
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		done := func(err error) { answer(struct{}{}, err) }
		if l.node == nil || l.node.Role() != election.Leader || l.node.Lease().Until <= l.now() {
			done(l.notGoose())
			return nil
		}
		id, ok := l.idNamed(name)
		switch {
		case !ok:
			done(api.Conflict("no agent is named %q (ddgoose members lists them)", name))
		case id == l.id:
			done(api.Conflict("%s is this agent, the goose: ddgoose leave takes it out", name))
		case l.isAlive(id):
			done(api.Conflict("%s is alive: ddgoose leave, given to it, takes it out", name))
		default:
			if old := l.forceOut[id].done; old != nil {
				old(api.Conflict("%s was forced out once more", name))
			}
			l.forceOut[id] = forced{done, l.now() + forceFor}
			l.choresAt = 0
		}
		return nil
	})
	return err
}

// idNamed finds an agent among the members, and voters that gossip has forgotten.
func (l *life) idNamed(name string) (election.ID, bool) {
	if p, ok := l.peerNamed(name); ok {
		return p.ID, true
	}
	rec := l.node.Record()
	for _, v := range rec.Config.Members() {
		if l.nameOf(v.ID) == name || v.ID.String() == name {
			return v.ID, true
		}
	}
	return election.ID{}, false
}

// forceFor is how long a forced leave is tried.
const forceFor = 10 * time.Second

// forced is a forced leave under way.
type forced struct {
	done  func(error)
	until time.Duration
}

// progressForced answers those whose forced leave is committed, or cannot be.
func (l *life) progressForced() {
	if len(l.forceOut) == 0 {
		return
	}
	rec := l.node.Record()
	for id, f := range l.forceOut {
		out := !rec.Config.Has(id)
		switch {
		case out && l.node.Committed():
			l.gossip.MarkLeft(id)
			f.done(nil)
		case l.node.Role() != election.Leader:
			f.done(l.notGoose())
		case !out && l.isAlive(id):
			f.done(api.Conflict("%s is alive again: ddgoose leave, given to it, takes it out", l.nameOf(id)))
		case l.now() >= f.until:
			f.done(api.NoMajority("the voters that would be left without %s do not all answer: a majority of them must", l.nameOf(id)))
		default:
			continue
		}
		delete(l.forceOut, id)
	}
}

// Join calls more agents, and gives how many answered; this one never counts.
func (a *Agent) Join(ctx context.Context, addrs []string) (int, error) {
	g, err := ask(ctx, a, func(l *life, answer func(*gossip, error)) error {
		answer(l.gossip, nil)
		return nil
	})
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
	config := election.Config{}
	rtt := map[election.ID]time.Duration{}
	if l.node != nil {
		rec := l.node.Record()
		config = rec.Config
		for _, c := range l.node.Contacts(nil) {
			rtt[c.ID] = c.RTT
		}
	}
	for _, p := range l.peers {
		m := api.Member{
			Name: p.Meta.Name, ID: p.ID.String(), Addr: p.Addr.String(), State: p.State, Voter: config.Has(p.ID),
			Priority: p.Meta.Priority, Tags: p.Meta.Tags,
		}
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		d := rtt[p.ID]
		if d == 0 {
			d = p.RTT
		}
		if d > 0 && p.ID != l.id {
			ms := millis(d)
			m.RTTMS = &ms
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b api.Member) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
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

// lookAgain makes the loop see now what it would see at its next chores.
func (a *Agent) lookAgain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		err := l.chores(l.now())
		answer(struct{}{}, err)
		return err
	})
}

// healthy tells what is wrong: dead, or a loop that hangs.
func (a *Agent) healthy() error {
	if a.Status().Role == api.RoleDead {
		return api.Conflict("dead by simulation (ddgoose simulate revive)")
	}
	if stale := a.cfg.Clock() - time.Duration(a.lastTurn.Load()); stale > a.cfg.Lease {
		return fmt.Errorf("the loop has not turned for %v", stale.Round(time.Millisecond))
	}
	return nil
}
