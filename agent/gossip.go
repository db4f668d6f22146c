package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/meters"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
)

const (
	// failedListed is how long an agent that is gone stays listed.
	failedListed = 24 * time.Hour
	// reclaimAfter lets a known id come back from another address once it is dead.
	reclaimAfter = time.Second
	// metaWait is for how long we care whether new metadata has been sent on: it
	// goes on by itself, and a stop must not wait for it.
	metaWait = time.Millisecond
	// peersMost bounds the agents known, dead ones included: an agent without a
	// key may be told of any number.
	peersMost = 1024
)

// peer is another agent, or this one, as gossip shows it.
type peer struct {
	ID    election.ID
	Addr  netip.AddrPort
	State string // api.StateAlive, StateFailed or StateLeft
	Meta  peerMeta
	Since time.Time // of the state
	RTT   time.Duration

	keptName string // the name that it settled under, in this or an earlier life; "": it never settled
	refused  bool   // another agent has its name, and it has not settled since (names.go)
}

// gossipOptions is what gossip is started with.
type gossipOptions struct {
	ID      election.ID
	Label   string
	Keys    [][]byte
	Meta    peerMeta
	Join    []string
	Known   []knownPeer           // from the disk
	At      func() netip.AddrPort // where the others are told this agent is
	Quiet   *quietlog.Log
	Problem func(string)
	Save    func([]knownPeer)
	Counts  *meters.Counters
	Topics  map[string]topic // what others may ask
}

// gossip finds the other agents and notices who is gone. memberlist calls back
// under its own lock: the callbacks copy, enqueue and return.
type gossip struct {
	opts    gossipOptions
	list    *memberlist.Memberlist
	keyring *memberlist.Keyring // nil without keys
	updates chan struct{}
	telling chan struct{} // of capacity 1: held while memberlist is told of new metadata

	mu struct { // guards what follows
		sync.Mutex
		meta  []byte
		own   peerMeta
		peers map[election.ID]*peer
	}

	join joiner
	asks *asker
}

// startGossip makes memberlist run over a mux.
func startGossip(opts gossipOptions, m *port.Port, logger *gossipLog) (*gossip, error) {
	g := &gossip{opts: opts, updates: make(chan struct{}, 1), telling: make(chan struct{}, 1)}
	g.join.met = make(chan struct{}, 1)
	g.mu.peers = map[election.ID]*peer{}
	g.asks = newAsker(g)
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
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping, c.Conflict = g, g, g, g, g, g
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
		g.keyring = c.Keyring
	}
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	g.list = list
	g.join.start(g)
	g.join.background(g.asks.read)
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
	select {
	case g.join.met <- struct{}{}:
	default:
	}
}

// Peers gives every agent known, this one included, failed ones for a day. An
// agent that is refused its name is not given.
func (g *gossip) Peers() []peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuseNames()
	all := make([]peer, 0, len(g.mu.peers))
	for id, p := range g.mu.peers {
		if p.refused {
			if shown, ok := p.beforeRefusal(); ok {
				all = append(all, shown)
			} else if p.State != api.StateAlive {
				delete(g.mu.peers, id)
			}
			continue
		}
		if p.State != api.StateAlive && time.Since(p.Since) > failedListed {
			delete(g.mu.peers, id)
			g.changed()
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
	for id, p := range g.mu.peers {
		if foreign(meta.FlockID, p.Meta.FlockID) {
			delete(g.mu.peers, id) // met while bound to none
		}
	}
	g.mu.Unlock()
	if same {
		return nil
	}
	g.join.background(func(context.Context) {
		// memberlist takes no two at once: the older could win, for good.
		g.telling <- struct{}{}
		defer func() { <-g.telling }()
		_ = g.list.UpdateNode(metaWait) // it is spread by push/pull in any case
	})
	return nil
}

// Answers tells whether an agent answers a ping now.
func (g *gossip) Answers(p peer) bool {
	_, err := g.list.Ping(p.ID.String(), netUDP(p.Addr))
	return err == nil
}

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

// Withdraw tells the others that this agent stops now, so that they need not
// find out. Unlike Leave it does not say that the agent goes for good.
func (g *gossip) Withdraw(wait time.Duration) { _ = g.list.Leave(wait) }

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

// peerOf reads what gossip says of an agent.
func peerOf(n *memberlist.Node, state string) (peer, bool) {
	id, err := election.ParseID(n.Name)
	if err != nil {
		return peer{}, false
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok {
		return peer{}, false
	}
	b, ok := checkMeta(n.Meta, n.Name, netip.AddrPortFrom(ip, n.Port))
	if !ok {
		return peer{}, false
	}
	meta, err := decodeMeta(b)
	if err != nil {
		return peer{}, false
	}
	if meta.Left {
		state = api.StateLeft
	}
	return peer{ID: id, Addr: netip.AddrPortFrom(ip.Unmap(), n.Port), State: state, Meta: meta, Since: time.Now()}, true
}

// note books an agent's state.
func (g *gossip) note(n *memberlist.Node, state string) {
	p, ok := peerOf(n, state)
	if !ok {
		return
	}
	id := p.ID
	g.mu.Lock()
	if foreign(g.mu.own.FlockID, p.Meta.FlockID) {
		g.mu.Unlock()
		return
	}
	if old := g.mu.peers[id]; old != nil {
		p.RTT = old.RTT
		if state == api.StateFailed && old.State == api.StateLeft {
			p.State = api.StateLeft // only a life ends that
		}
		if old.State == p.State {
			p.Since = old.Since
		}
		p.keptName, p.refused = old.keptName, old.refused && old.Meta.Life == p.Meta.Life
	}
	if p.Meta.Settled {
		p.keptName, p.refused = p.Meta.Name, false
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
	p, ok := peerOf(n, api.StateAlive)
	if !ok {
		return fmt.Errorf("what is at %s is no agent of ours", n.Address())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if own := g.mu.own.FlockID; foreign(own, p.Meta.FlockID) {
		text := foreignText(p.Meta.Name, n.Address(), p.Meta.FlockID, own)
		if g.opts.Quiet.Due("flock " + n.Name + " " + n.Address()) {
			g.opts.Problem(text)
		}
		return errors.New(text)
	}
	if g.mu.peers[p.ID] == nil && len(g.mu.peers) >= peersMost && !g.makeRoom() {
		return fmt.Errorf("%d agents are known, and there is no room for more", peersMost)
	}
	return nil
}

// foreign tells whether two flocks are founded ones and not the same.
func foreign(a, b election.FlockID) bool { return !a.IsZero() && !b.IsZero() && a != b }

func foreignText(name, addr string, theirs, ours election.FlockID) string {
	return fmt.Sprintf("agent %s at %s is of flock %s, we are of %s: two founded flocks never merge", name, addr, theirs, ours)
}

// makeRoom forgets the agent that has been gone the longest; mu is held.
func (g *gossip) makeRoom() bool {
	var oldest *peer
	for _, p := range g.mu.peers {
		if p.State != api.StateAlive && (oldest == nil || p.Since.Before(oldest.Since)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	delete(g.mu.peers, oldest.ID)
	return true
}

// NotifyConflict hears that one id speaks from two addresses: it has moved, or
// its disk was copied (rule 10).
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	a, ok := peerOf(existing, api.StateAlive)
	b, also := peerOf(other, api.StateAlive)
	if !ok || !also {
		return
	}
	switch {
	case a.Meta.Start == b.Meta.Start && a.Meta.Life != b.Meta.Life:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(cloneText(a.Meta.Name, a.ID, a.Addr, b.Addr))
		}
	case a.ID == g.opts.ID && b.Meta.Start > a.Meta.Start:
		if g.opts.Quiet.Due("clone " + existing.Name) {
			g.opts.Problem(staleText(a.Meta.Name, a.ID, a.Addr, a.Meta.Start, b.Meta.Start))
		}
	case a.ID != g.opts.ID && b.Meta.Start > a.Meta.Start:
		g.note(other, api.StateAlive) // memberlist itself waits until the old one counts as dead
	}
}

// cloneText reports two agents of one id and start.
func cloneText(name string, id election.ID, a, b netip.AddrPort) string {
	return fmt.Sprintf("agent %s (%s) runs twice, at %s and %s, from copies of one data directory: neither is believed; stop one and empty its data directory", name, id, a, b)
}

// staleText reports an agent whose disk is older than what was seen of its id.
func staleText(name string, id election.ID, at netip.AddrPort, start, known uint64) string {
	return fmt.Sprintf("agent %s (%s) at %s runs from an old copy of its data directory (start %d, %d was seen): it is ignored; stop it and empty that directory", name, id, at, start, known)
}

// NodeMeta, NotifyMsg and the rest make a memberlist.Delegate: it carries metadata and letters (ask.go).
func (g *gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sumMeta(g.mu.meta, g.opts.ID.String(), g.opts.At())
}
func (g *gossip) NotifyMsg(b []byte)              { g.asks.take(b) }
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
