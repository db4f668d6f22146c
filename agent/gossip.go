package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

const (
	// failedListed is how long an agent that is gone stays listed.
	failedListed = 24 * time.Hour
	// reclaimAfter lets a known id come back from another address once it is dead.
	reclaimAfter = time.Second
	// metaWait bounds how long telling new metadata may take.
	metaWait = 2 * time.Second
)

// peer is another agent, or this one, as gossip shows it.
type peer struct {
	ID    election.ID
	Addr  netip.AddrPort
	State string // api.StateAlive, StateFailed or StateLeft
	Meta  peerMeta
	Since time.Time // of the state
	RTT   time.Duration
}

// gossipOptions is what gossip is started with.
type gossipOptions struct {
	ID      election.ID
	Label   string
	Keys    [][]byte
	Meta    peerMeta
	Join    []string
	Known   []knownPeer // from the disk
	Problem func(string)
	Save    func([]knownPeer)
}

// gossip finds the other agents and notices who is gone. memberlist calls back
// under its own lock: the callbacks copy, enqueue and return.
type gossip struct {
	opts    gossipOptions
	list    *memberlist.Memberlist
	updates chan struct{}
	told    onceEach

	mu struct { // guards what follows
		sync.Mutex
		meta  []byte
		own   peerMeta
		peers map[election.ID]*peer
	}

	join joiner
}

// startGossip makes memberlist run over a mux.
func startGossip(opts gossipOptions, m *mux, logger *gossipLog) (*gossip, error) {
	g := &gossip{opts: opts, updates: make(chan struct{}, 1)}
	g.mu.peers = map[election.ID]*peer{}
	meta, err := opts.Meta.encode()
	if err != nil {
		return nil, err
	}
	g.mu.meta, g.mu.own = meta, opts.Meta
	c := memberlist.DefaultLANConfig()
	c.Name = opts.ID.String()
	c.Label = opts.Label
	c.Transport = m
	c.RetransmitMult = 4
	c.EnableCompression = false
	c.DeadNodeReclaimTime = reclaimAfter
	c.LogOutput = logger
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping = g, g, g, g, g
	if len(opts.Keys) > 0 {
		keys := make([][]byte, len(opts.Keys))
		for i, k := range opts.Keys {
			if keys[i], err = gossipKey(k); err != nil {
				return nil, err
			}
		}
		if c.Keyring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
			return nil, fmt.Errorf("gossip keys: %w", err)
		}
	}
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	g.list = list
	g.join.start(g)
	return g, nil
}

// gossipKey gives memberlist a key of its own, so that no two ciphers share one.
func gossipKey(key []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "duckduckgoose gossip 1", 32)
}

// Updates says "look again": what changed is in Peers.
func (g *gossip) Updates() <-chan struct{} { return g.updates }

func (g *gossip) changed() {
	select {
	case g.updates <- struct{}{}:
	default:
	}
}

// Peers gives every agent known, this one included, failed ones for a day.
func (g *gossip) Peers() []peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]peer, 0, len(g.mu.peers))
	for id, p := range g.mu.peers {
		if p.State != api.StateAlive && time.Since(p.Since) > failedListed {
			delete(g.mu.peers, id)
			continue
		}
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b peer) int { return a.ID.Compare(b.ID) })
	return all
}

// SetMeta tells the others something new about this agent.
func (g *gossip) SetMeta(meta peerMeta) error {
	b, err := meta.encode()
	if err != nil {
		return err
	}
	g.mu.Lock()
	same := string(b) == string(g.mu.meta)
	g.mu.meta, g.mu.own = b, meta
	g.mu.Unlock()
	if same {
		return nil
	}
	g.join.background(func(context.Context) { _ = g.list.UpdateNode(metaWait) }) // it is spread by push/pull in any case
	return nil
}

// Answers tells whether an agent answers a ping now.
func (g *gossip) Answers(p peer) bool {
	_, err := g.list.Ping(p.ID.String(), netUDP(p.Addr))
	return err == nil
}

// HealthScore is memberlist's own idea of how well this agent keeps up; 0 is best.
func (g *gossip) HealthScore() int { return g.list.GetHealthScore() }

// Leave tells the others that this agent goes for good. memberlist's events do
// not tell a leave from a death, so the metadata says it first. Nobody may be
// there to hear either.
func (g *gossip) Leave(wait time.Duration) {
	g.mu.Lock()
	g.mu.own.Left = true
	meta, err := g.mu.own.encode()
	if err == nil {
		g.mu.meta = meta
	}
	g.mu.Unlock()
	_ = g.list.UpdateNode(wait)
	_ = g.list.Leave(wait)
}

// Shutdown stops gossip without a word, as a crash would.
func (g *gossip) Shutdown() {
	g.join.stop()
	_ = g.list.Shutdown() // it ends the mux, which reports nothing worth more
}

// MarkLeft books that an agent which is gone will not return, until it does.
func (g *gossip) MarkLeft(id election.ID) {
	g.mu.Lock()
	p := g.mu.peers[id]
	mark := p != nil && p.State == api.StateFailed
	if mark {
		p.State, p.Since = api.StateLeft, time.Now()
	}
	g.mu.Unlock()
	if mark {
		g.changed()
	}
}

// note books an agent's state.
func (g *gossip) note(n *memberlist.Node, state string) {
	id, err := election.ParseID(n.Name)
	if err != nil {
		return
	}
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok {
		return
	}
	if meta.Left {
		state = api.StateLeft
	}
	p := peer{ID: id, Addr: netip.AddrPortFrom(ip.Unmap(), n.Port), State: state, Meta: meta, Since: time.Now()}
	g.mu.Lock()
	if old := g.mu.peers[id]; old != nil {
		p.RTT = old.RTT
		if state == api.StateFailed && old.State == api.StateLeft {
			p.State = api.StateLeft // only a life ends that
		}
		if old.State == p.State {
			p.Since = old.Since
		}
	}
	g.mu.peers[id] = &p
	g.mu.Unlock()
	g.changed()
}

// NotifyJoin, NotifyUpdate and NotifyLeave are memberlist's events.
func (g *gossip) NotifyJoin(n *memberlist.Node)   { g.note(n, api.StateAlive) }
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.note(n, api.StateAlive) }
func (g *gossip) NotifyLeave(n *memberlist.Node)  { g.note(n, api.StateFailed) }

// NotifyAlive refuses agents of another founded flock, and what is no agent of ours.
func (g *gossip) NotifyAlive(n *memberlist.Node) error { return g.acceptable(n) }

// NotifyMerge refuses a whole exchange when it names an agent of another flock.
func (g *gossip) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if err := g.acceptable(n); err != nil {
			return err
		}
	}
	return nil
}

func (g *gossip) acceptable(n *memberlist.Node) error {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return fmt.Errorf("agent at %s: %w", n.Address(), err)
	}
	g.mu.Lock()
	own := g.mu.own.FlockID
	g.mu.Unlock()
	if own.IsZero() || meta.FlockID.IsZero() || meta.FlockID == own {
		return nil
	}
	text := fmt.Sprintf("agent %s at %s is of flock %s, we are of %s: two founded flocks never merge", meta.Name, n.Address(), meta.FlockID, own)
	if g.told.first(n.Name) {
		g.opts.Problem(text)
	}
	return fmt.Errorf("%s", text)
}

// NodeMeta, NotifyMsg and the rest make a memberlist.Delegate: metadata is all it carries.
func (g *gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.meta
}
func (g *gossip) NotifyMsg([]byte)                {}
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }
func (g *gossip) LocalState(bool) []byte          { return nil }
func (g *gossip) MergeRemoteState([]byte, bool)   {}
func (g *gossip) AckPayload() []byte              { return nil }

// NotifyPingComplete books a round trip.
func (g *gossip) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
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

// onceEach says yes the first time it sees a key, for a bounded number of keys.
type onceEach struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (o *onceEach) first(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[key] || len(o.seen) >= quietKeys {
		return false
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[key] = true
	return true
}
