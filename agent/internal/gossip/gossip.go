// Package gossip finds the other agents of a flock, and notices when one fails or
// leaves. Over the same connections agents ask each other questions.
//
// It wraps memberlist. [Start] begins to gossip and to call the known addresses
// again and again. [Gossip.Round] has it tell what is new. [Gossip.Updates] says that
// [Gossip.Changes] has something.
// [Gossip.Ask] and [Gossip.Gather] ask questions; the handlers in [Options]
// answer those of the others. Gossip only finds agents: it never decides who
// may vote.
package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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
	// gossipNodes is how many agents one tells each 200 ms what it has to tell. memberlist's
	// usual 3 take half a minute to show 300 agents that join at once to one another. Each
	// change is repeated as often as with 3, and nothing is sent while nothing changes.
	gossipNodes = 6
	// goneListed is how long an agent that is gone stays listed.
	goneListed = 24 * time.Hour
	// reclaimAfter is when the id of a failed agent may come back with another address.
	reclaimAfter = time.Second
	// metaWait is how long an update of the metadata may wait to be sent. It spreads
	// later by itself, and a stop must not wait for it.
	metaWait = time.Millisecond
	// metaTries bounds the attempts to give memberlist new metadata.
	metaTries = 5
	// maxPeers bounds the agents known, dead ones included: without a key anybody
	// can announce any number of them. A flock of 5,000 fits. Each takes about 2.3 kB
	// here, in memberlist and in the member.
	maxPeers = 6144
)

// Options are the settings of [Start]. Problem and Save may be called from any
// goroutine, and Problem must not block.
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

// Gossip is one agent's gossip. Its methods are safe for many goroutines.
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
		sweptAt time.Time // when sweep last ran
	}

	rounds chan struct{} // of capacity 1: a round is due

	join joiner
	asks *asker
}

// Start starts memberlist on a port, and calls the agents to join.
func Start(opts Options) (*Gossip, error) {
	g := &Gossip{opts: opts, updates: make(chan struct{}, 1), telling: make(chan struct{}, 1), rounds: make(chan struct{}, 1)}
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
	c.GossipNodes = gossipNodes
	c.GossipInterval = 0 // see memberlistGossip
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
	g.Background(g.gossipInRounds)
	return g, nil
}

// Updates signals that Changes has something to give.
func (g *Gossip) Updates() <-chan struct{} { return g.updates }

// signal wakes the goroutine that waits for a channel of capacity 1.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// SetMeta sends this agent's new metadata to the others.
func (g *Gossip) SetMeta(meta member.Meta) error {
	b, err := encode(&meta)
	if err != nil {
		return err
	}
	g.mu.Lock()
	same := string(b) == string(g.mu.meta)
	g.mu.meta, g.mu.own = b, meta
	g.forgetAll(func(p *peer) bool { return foreign(meta.FlockID, p.Meta.FlockID) }) // met before this agent had a flock
	g.mu.Unlock()
	if same {
		return nil
	}
	g.Background(func(context.Context) { g.tellMeta(metaWait) })
	return nil
}

// tellMeta gives memberlist the metadata, one update at a time: of two at once the
// older could win. memberlist silently loses an update when it refutes a suspicion
// at that moment, because the refutation has the higher number and the old
// metadata. So tellMeta checks, and tries again.
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

// Answers reports whether an agent answers a ping now.
func (g *Gossip) Answers(p member.Peer) bool {
	_, err := g.list.Ping(p.ID.String(), net.UDPAddrFromAddrPort(p.Addr))
	return err == nil
}

// Leave tells the others that this agent leaves the flock. memberlist's events are
// the same for a leave and a death, so the metadata says it first. That nobody
// hears it is no error.
func (g *Gossip) Leave(wait time.Duration) {
	g.mu.Lock()
	g.mu.own.Left = true
	meta, err := encode(&g.mu.own)
	if err == nil {
		g.mu.meta = meta
	}
	g.mu.Unlock()
	defer g.roundsBegin()()
	g.tellMeta(wait)
	_ = g.list.Leave(wait)
}

// Withdraw tells the others that this agent stops now, so that they need not find
// out by probes. The agent stays a member of the flock.
func (g *Gossip) Withdraw(wait time.Duration) {
	defer g.roundsBegin()()
	_ = g.list.Leave(wait)
}

// Shutdown stops gossip without telling anybody, as a crash would.
func (g *Gossip) Shutdown() {
	g.join.stop()
	_ = g.list.Shutdown() // it shuts the port down, whose error says nothing useful
}

// NumMembers counts the agents that memberlist counts as alive, those that Peers
// does not give included.
func (g *Gossip) NumMembers() int { return g.list.NumMembers() }

// HealthScore is memberlist's judgement of this agent's own health; 0: well.
func (g *Gossip) HealthScore() int { return g.list.GetHealthScore() }

// Background runs f until it returns. Shutdown ends the context of f and waits
// for it; after Shutdown f is not run, and Background gives false.
func (g *Gossip) Background(f func(context.Context)) bool { return g.join.background(f) }

// flockID is the flock that this agent tells the others it is of.
func (g *Gossip) flockID() election.FlockID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.own.FlockID
}
