// Package gossip finds the other agents of a flock and notices who is gone. Over
// the same connections agents ask one another questions.
//
// It wraps memberlist. [Start] begins to gossip and to call the known addresses
// again and again. [Gossip.Updates] says that [Gossip.Changes] has something.
// [Gossip.Ask] and [Gossip.Gather] put questions; the handlers in [Options]
// answer those of the others. Gossip only finds agents: it never decides who
// may vote.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/wire"
)

const (
	// goneListed is how long an agent that is gone stays listed.
	goneListed = 24 * time.Hour
	// reclaimAfter lets a known id come back from another address once it is dead.
	reclaimAfter = time.Second
	// metaWait is how long an update of the metadata waits to be sent. It spreads
	// by itself later, and a stop must not wait for it.
	metaWait = time.Millisecond
	// metaTries bounds the tries to have memberlist take new metadata.
	metaTries = 5
	// maxPeers bounds the agents known, dead ones included: without a key anybody
	// can announce any number of them. A flock of 5,000 fits. Each takes about 2.3 kB
	// here, in memberlist and in the member.
	maxPeers = 6144
)

// Options is what gossip is started with. Problem and Save may be called from
// any goroutine, and Problem must not block.
type Options struct {
	ID       election.ID
	Meta     member.Meta
	Join     []string // see [duckduckgoose/agent/seeds.Parse]
	Known    []Known  // agents known from before
	Port     Port
	Log      *slog.Logger
	Quiet    *quietlog.Log
	Counts   *meters.Counters
	Problem  func(string)       // takes something that a person should know
	Save     func([]Known)      // keeps the known addresses for the next start
	Handlers map[string]Handler // answer the questions of others, by name
}

// Port is the network that gossip uses: see [duckduckgoose/agent/port.Port].
type Port interface {
	memberlist.NodeAwareTransport
	Advertised() netip.AddrPort // where the others are told this agent is
	Closed() <-chan struct{}
}

// Gossip is one agent's part in it. Its methods are safe for many goroutines.
// memberlist calls back under its own lock, so the callbacks copy, enqueue and
// return.
type Gossip struct {
	opts    Options
	list    *memberlist.Memberlist
	updates chan struct{}
	telling chan struct{} // of capacity 1: held while memberlist takes new metadata
	update  func(wait time.Duration) error

	mu struct { // guards what follows
		sync.Mutex
		meta  []byte
		taken string // what memberlist tells the others: the metadata and its checksum
		own   member.Meta
		peers map[election.ID]*peer
		// byName has the ids of peers by their names, and changed those that Changes has to give.
		byName  map[string][]election.ID
		changed map[election.ID]bool
		version uint64    // grows with every change
		sweptAt time.Time // when those that are gone for long were last looked for
	}

	join joiner
	asks *asker
}

// peer is an agent and since when it is in its state.
type peer struct {
	member.Peer
	since time.Time

	keptName string // the name that it settled under, in this or an earlier life; "": it never settled
	refused  bool   // another agent has its name, and it has not settled since (names.go)
}

// Start starts memberlist on a port, and calls the agents to join.
func Start(opts Options) (*Gossip, error) {
	g := &Gossip{opts: opts, updates: make(chan struct{}, 1), telling: make(chan struct{}, 1)}
	g.join.met, g.join.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	g.mu.peers, g.mu.byName, g.mu.changed = map[election.ID]*peer{}, map[string][]election.ID{}, map[election.ID]bool{}
	g.mu.sweptAt = time.Now()
	g.asks = newAsker(g)
	meta, err := encode(&opts.Meta)
	if err != nil {
		return nil, err
	}
	g.mu.meta, g.mu.own = meta, opts.Meta
	c := memberlist.DefaultLANConfig()
	c.Name = opts.ID.String()
	c.Transport = opts.Port // which seals, and adds the label
	c.UDPBufferSize = wire.GossipRoom
	c.RetransmitMult = 4
	c.EnableCompression = false
	c.DeadNodeReclaimTime = reclaimAfter
	c.LogOutput = &logWriter{log: opts.Log, quiet: opts.Quiet, closed: opts.Port.Closed(), nameOf: g.nameOf}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping, c.Conflict = g, g, g, g, g, g
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	g.list, g.update = list, list.UpdateNode
	g.join.start(g)
	g.Background(g.asks.read)
	return g, nil
}

// Updates signals that Changes has something to give.
func (g *Gossip) Updates() <-chan struct{} { return g.updates }

// change has Changes give a peer. mu is held.
func (g *Gossip) change(id election.ID) {
	g.mu.changed[id] = true
	g.mu.version++
	signal(g.updates)
	signal(g.join.met)
}

// signal wakes who waits for a channel of capacity 1.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Peers gives every agent known, this one included, failed ones for a day, sorted
// by id. An agent that is refused its name is not given.
func (g *Gossip) Peers() []member.Peer {
	g.mu.Lock()
	all := make([]member.Peer, 0, len(g.mu.peers))
	for _, p := range g.mu.peers {
		if shown, ok := p.shown(); ok {
			all = append(all, shown)
		}
	}
	g.mu.Unlock()
	slices.SortFunc(all, func(a, b member.Peer) int { return a.ID.Compare(b.ID) })
	return all
}

// Changes gives what has changed in Peers since the last call: agents as they are
// now, and those that are not there any more.
func (g *Gossip) Changes() (changed []member.Peer, forgotten []election.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.mu.changed {
		if p := g.mu.peers[id]; p != nil {
			if shown, ok := p.shown(); ok {
				changed = append(changed, shown)
				continue
			}
		}
		forgotten = append(forgotten, id)
	}
	clear(g.mu.changed)
	slices.SortFunc(changed, func(a, b member.Peer) int { return a.ID.Compare(b.ID) })
	return changed, forgotten
}

// sweepEvery is how often agents are looked for that have been gone for goneListed.
const sweepEvery = 10 * time.Second

// sweep forgets those that have been gone for long.
func (g *Gossip) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.mu.sweptAt) < sweepEvery {
		return
	}
	g.mu.sweptAt = time.Now()
	g.forgetAll(func(p *peer) bool { return p.State != member.Alive && time.Since(p.since) > goneListed })
}

// set keeps a peer, new or changed. mu is held.
func (g *Gossip) set(p *peer) {
	old := g.mu.peers[p.ID]
	if old == nil || old.Meta.Name != p.Meta.Name {
		if old != nil {
			g.unname(old)
		}
		g.mu.byName[p.Meta.Name] = append(g.mu.byName[p.Meta.Name], p.ID)
	}
	g.mu.peers[p.ID] = p
	g.change(p.ID)
	g.refuseName(p.Meta.Name)
	if p.refused && p.State != member.Alive && p.keptName == "" {
		g.forget(p)
	}
}

// forget drops a peer. mu is held.
func (g *Gossip) forget(p *peer) {
	g.unname(p)
	delete(g.mu.peers, p.ID)
	g.change(p.ID)
}

// forgetAll drops the peers of which it holds. mu is held.
func (g *Gossip) forgetAll(of func(*peer) bool) {
	for _, p := range g.mu.peers {
		if of(p) {
			g.forget(p)
		}
	}
}

func (g *Gossip) unname(p *peer) {
	rest := slices.DeleteFunc(g.mu.byName[p.Meta.Name], func(id election.ID) bool { return id == p.ID })
	if g.mu.byName[p.Meta.Name] = rest; len(rest) == 0 {
		delete(g.mu.byName, p.Meta.Name)
	}
}

// SetMeta tells the others what is new about this agent.
func (g *Gossip) SetMeta(meta member.Meta) error {
	b, err := encode(&meta)
	if err != nil {
		return err
	}
	g.mu.Lock()
	same := string(b) == string(g.mu.meta)
	g.mu.meta, g.mu.own = b, meta
	g.forgetAll(func(p *peer) bool { return foreign(meta.FlockID, p.Meta.FlockID) }) // met while bound to none
	g.mu.Unlock()
	if same {
		return nil
	}
	g.Background(func(context.Context) { g.tellMeta(metaWait) })
	return nil
}

// tellMeta has memberlist take the metadata. Two updates at once would race there,
// and the older could win for good. memberlist drops an update without a word when
// it refutes a suspicion at that moment: the refutation has the higher number, and
// the old metadata.
func (g *Gossip) tellMeta(wait time.Duration) {
	g.telling <- struct{}{}
	defer func() { <-g.telling }()
	for range metaTries {
		_ = g.update(wait) // its error says that the broadcast still waits
		want := string(g.NodeMeta(0))
		g.mu.Lock()
		taken := g.mu.taken == want
		g.mu.Unlock()
		if taken {
			return
		}
	}
}

// Answers tells whether an agent answers a ping now.
func (g *Gossip) Answers(p member.Peer) bool {
	_, err := g.list.Ping(p.ID.String(), net.UDPAddrFromAddrPort(p.Addr))
	return err == nil
}

// Leave tells the others that this agent leaves for good. memberlist's events
// look the same for a leave and a death, so the metadata says it first. It is no
// error if nobody hears it.
func (g *Gossip) Leave(wait time.Duration) {
	g.mu.Lock()
	g.mu.own.Left = true
	meta, err := encode(&g.mu.own)
	if err == nil {
		g.mu.meta = meta
	}
	g.mu.Unlock()
	g.tellMeta(wait)
	_ = g.list.Leave(wait)
}

// Withdraw tells the others that this agent stops now, so that they need not
// find out. Unlike Leave it does not say that the agent leaves for good.
func (g *Gossip) Withdraw(wait time.Duration) { _ = g.list.Leave(wait) }

// Shutdown stops gossip without telling anybody, as a crash would.
func (g *Gossip) Shutdown() {
	g.join.stop()
	_ = g.list.Shutdown() // it shuts the port down, whose error says nothing useful
}

// MarkLeft notes that a failed agent was removed for good. It counts until the
// agent returns.
func (g *Gossip) MarkLeft(id election.ID) {
	g.mu.Lock()
	p := g.mu.peers[id]
	if p != nil && p.State == member.Failed {
		p.State, p.since = member.Left, time.Now()
		g.change(id)
	}
	g.mu.Unlock()
}

// peerOf reads what gossip says of an agent.
func peerOf(n *memberlist.Node, state member.PeerState) (member.Peer, bool) {
	id, err := election.ParseID(n.Name)
	ip, isIP := netip.AddrFromSlice(n.Addr)
	if err != nil || !isIP {
		return member.Peer{}, false
	}
	b, whole := checkMeta(n.Meta, n.Name, netip.AddrPortFrom(ip, n.Port))
	meta, err := decodeMeta(b)
	if err != nil || !whole {
		return member.Peer{}, false
	}
	if meta.Left {
		state = member.Left
	}
	return member.Peer{ID: id, Addr: netip.AddrPortFrom(ip.Unmap(), n.Port), State: state, Meta: meta}, true
}

// note takes in what memberlist says of an agent.
func (g *Gossip) note(n *memberlist.Node, state member.PeerState) {
	seen, ok := peerOf(n, state)
	if !ok {
		return
	}
	p, id := peer{Peer: seen, since: time.Now()}, seen.ID
	g.mu.Lock()
	if id == g.opts.ID {
		g.mu.taken = string(n.Meta)
	}
	if foreign(g.mu.own.FlockID, p.Meta.FlockID) {
		g.mu.Unlock()
		return
	}
	if old := g.mu.peers[id]; old != nil {
		p.RTT = old.RTT
		if state == member.Failed && old.State == member.Left {
			p.State = member.Left // only its return ends that
		}
		if old.State == p.State {
			p.since = old.since
		}
		p.keptName, p.refused = old.keptName, old.refused && old.Meta.Life == p.Meta.Life
	}
	if p.Meta.Settled {
		p.keptName, p.refused = p.Meta.Name, false
	}
	g.set(&p)
	g.mu.Unlock()
}

// NotifyJoin, NotifyUpdate and NotifyLeave make a memberlist.EventDelegate.
func (g *Gossip) NotifyJoin(n *memberlist.Node)   { g.note(n, member.Alive) }
func (g *Gossip) NotifyUpdate(n *memberlist.Node) { g.note(n, member.Alive) }
func (g *Gossip) NotifyLeave(n *memberlist.Node)  { g.note(n, member.Failed) }

// NotifyAlive refuses agents of another founded flock, and what is not an agent.
func (g *Gossip) NotifyAlive(n *memberlist.Node) error { return g.acceptable(n) }

// NotifyMerge refuses a whole exchange when it names an agent of another flock.
func (g *Gossip) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if err := g.acceptable(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gossip) acceptable(n *memberlist.Node) error {
	p, ok := peerOf(n, member.Alive)
	if !ok {
		return fmt.Errorf("what is at %s is no agent of ours", n.Address())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if own := g.mu.own.FlockID; foreign(own, p.Meta.FlockID) {
		text := ForeignText(p.Meta.Name, n.Address(), p.Meta.FlockID, own)
		if g.opts.Quiet.Due("flock " + n.Name + " " + n.Address()) {
			g.opts.Problem(text)
		}
		return errors.New(text)
	}
	if g.mu.peers[p.ID] == nil && len(g.mu.peers) >= maxPeers && !g.makeRoom() {
		return fmt.Errorf("%d agents are known, and there is no room for more", maxPeers)
	}
	return nil
}

// foreign tells whether two flocks are founded ones and not the same.
func foreign(a, b election.FlockID) bool { return !a.IsZero() && !b.IsZero() && a != b }

// ForeignText reports an agent of another flock.
func ForeignText(name, addr string, theirs, ours election.FlockID) string {
	return fmt.Sprintf("agent %s at %s is of flock %s, and this one is of %s: founded flocks never merge", name, addr, theirs, ours)
}

// makeRoom forgets the agent that has been gone the longest. mu is held.
func (g *Gossip) makeRoom() bool {
	var oldest *peer
	for _, p := range g.mu.peers {
		if p.State != member.Alive && (oldest == nil || p.since.Before(oldest.since)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	g.forget(oldest)
	return true
}

// NotifyConflict is called when one id is seen at two addresses: the agent has
// moved, or its disk was copied (rule 10).
func (g *Gossip) NotifyConflict(existing, other *memberlist.Node) {
	a, ok := peerOf(existing, member.Alive)
	b, also := peerOf(other, member.Alive)
	if !ok || !also {
		return
	}
	switch {
	case a.Meta.Start == b.Meta.Start && a.Meta.Life != b.Meta.Life:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(CloneText(a.Meta.Name, a.ID, a.Addr, b.Addr))
		}
	case a.ID == g.opts.ID && b.Meta.Start > a.Meta.Start:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(StaleText(a.Meta.Name, a.ID, a.Addr, a.Meta.Start, b.Meta.Start))
		}
	case a.ID != g.opts.ID && b.Meta.Start > a.Meta.Start:
		g.note(other, member.Alive) // memberlist itself waits until the old one counts as dead
	}
}

// CloneText reports two agents of one id and start: the same text, whichever is named first.
func CloneText(name string, id election.ID, a, b netip.AddrPort) string {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return fmt.Sprintf("agent %s (%s) runs twice, at %s and %s: neither is believed. If both run, from copies of one data directory: stop one and empty its directory; the other is believed again within a minute. If only one runs, from a restored directory: stop it, empty that directory and start it with --join", name, id, a, b)
}

// StaleText reports an agent that runs from a copy of its disk which is older
// than what was seen of its id.
func StaleText(name string, id election.ID, at netip.AddrPort, start, known uint64) string {
	return fmt.Sprintf("agent %s (%s) at %s runs from an old copy of its data directory, such as a restored snapshot (start %d, %d was seen): it is ignored; stop it, empty that directory and start it with --join", name, id, at, start, known)
}

// NodeMeta, NotifyMsg and the rest make a memberlist.Delegate. It carries the
// metadata, and the questions and answers of ask.go.
func (g *Gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sumMeta(g.mu.meta, g.opts.ID.String(), g.opts.Port.Advertised())
}
func (g *Gossip) NotifyMsg(b []byte)              { g.asks.take(b) }
func (g *Gossip) GetBroadcasts(int, int) [][]byte { return nil }
func (g *Gossip) LocalState(bool) []byte          { return nil }
func (g *Gossip) MergeRemoteState([]byte, bool)   {}
func (g *Gossip) AckPayload() []byte              { return nil }

// NotifyPingComplete notes a round trip.
func (g *Gossip) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	id, err := election.ParseID(n.Name)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[id]; p != nil {
		if p.RTT == 0 {
			p.RTT = rtt
		}
		p.RTT += (rtt - p.RTT) / 8
	}
}

// NumMembers counts the agents that memberlist counts as alive, those that Peers
// does not give included.
func (g *Gossip) NumMembers() int { return g.list.NumMembers() }

// HealthScore is memberlist's judgement of this agent's own health; 0: well.
func (g *Gossip) HealthScore() int { return g.list.GetHealthScore() }

// Background runs f until it returns. Shutdown ends the context of f and waits
// for it; after Shutdown f is not run, and Background gives false.
func (g *Gossip) Background(f func(context.Context)) bool { return g.join.background(f) }

// Peer gives an agent that gossip knows, as Peers does.
func (g *Gossip) Peer(id election.ID) (member.Peer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[id]
	if p == nil {
		return member.Peer{}, false
	}
	return p.shown()
}

// Alive gives an agent that is alive by gossip.
func (g *Gossip) Alive(id election.ID) (member.Peer, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.mu.peers[id]
	if p == nil || p.State != member.Alive {
		return member.Peer{}, false
	}
	return p.Peer, true
}

// nameOf gives an agent's name; "" while it is unknown.
func (g *Gossip) nameOf(id election.ID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[id]; p != nil {
		return p.Meta.Name
	}
	return ""
}

// flockID is the flock that this agent tells the others it is of.
func (g *Gossip) flockID() election.FlockID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.own.FlockID
}
