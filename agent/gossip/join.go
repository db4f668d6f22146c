package gossip

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/lead"
	"duckduckgoose/agent/member"
)

const (
	// DefaultPort is the port of an address that names none.
	DefaultPort = 3825
	rejoinFirst = time.Second
	maxRejoin   = 20 * time.Second
	// rejoinAtOnce bounds the calls of one try. They are made at once, so that one
	// that hangs delays no other.
	rejoinAtOnce = 16
	resolveWait  = 5 * time.Second
	// maxSaved bounds the addresses kept of agents that are gone.
	maxSaved = 256
)

// Known is where an agent was last seen.
type Known struct {
	ID   election.ID
	Name string
	Addr netip.AddrPort
}

// joiner calls the missing agents for as long as this agent runs. memberlist
// forgets the dead after 30 s and never calls them again (its issue 222), so
// without it a longer cut would never heal.
type joiner struct {
	g        *Gossip
	ctx      context.Context
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	saved    map[election.ID]Known
	answered atomic.Bool   // another agent was met
	met      chan struct{} // of capacity 1: Peers has changed

	mu struct { // guards what follows
		sync.Mutex
		join   []string
		faults map[string]string // why an address of join cannot be called
	}
}

func (j *joiner) start(g *Gossip) {
	j.g = g
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.mu.join = slices.Clone(g.opts.Join)
	j.saved = map[election.ID]Known{}
	for _, p := range g.opts.Known {
		j.saved[p.ID] = p
	}
	j.background(j.forever)
}

func (j *joiner) stop() {
	j.mu.Lock()
	j.cancel()
	j.mu.Unlock()
	j.ended.Wait()
}

// background runs f until it returns, and stop waits for it. After stop it gives
// false.
func (j *joiner) background(f func(context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx.Err() != nil {
		return false
	}
	j.ended.Go(func() { f(j.ctx) })
	return true
}

// forever keeps the addresses, and calls the missing ones. It backs off while the
// number of missing addresses is unchanged: an address may answer and still be
// missing, such as another address of this agent itself.
func (j *joiner) forever(ctx context.Context) {
	var next time.Time
	wait, missed, gone := rejoinFirst, 0, 0
	for {
		j.remember()
		if n := j.gone(); n != gone {
			gone, next = n, time.Time{}
		}
		if !time.Now().Before(next) {
			missing := j.missing(ctx)
			if len(missing) != missed {
				wait, missed = rejoinFirst, len(missing)
			}
			j.try(ctx, missing)
			next = time.Now().Add(wait/2 + rand.N(wait))
			wait = min(2*wait, maxRejoin)
		}
		if !j.rest(ctx) {
			return
		}
	}
}

// rest waits for the next look. The first address is saved as soon as it is
// known: an agent that crashes before would find nobody after its restart.
func (j *joiner) rest(ctx context.Context) bool {
	timer := time.NewTimer(rejoinFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-j.met:
			if len(j.saved) == 0 {
				j.remember()
			}
		}
	}
}

// gone counts the agents at known addresses that are not alive.
func (j *joiner) gone() int {
	n := 0
	for id := range j.saved {
		if !j.g.isAlive(id) {
			n++
		}
	}
	return n
}

// remember keeps the last known addresses, and saves them when they changed.
func (j *joiner) remember() {
	changed := false
	var all []Known
	for _, p := range j.g.Peers() {
		if p.ID == j.g.opts.ID {
			continue
		}
		k := Known{p.ID, p.Meta.Name, p.Addr}
		if p.State == member.Left {
			if _, ok := j.saved[p.ID]; ok {
				delete(j.saved, p.ID)
				changed = true
			}
			continue
		}
		if j.saved[p.ID] != k {
			j.saved[p.ID] = k
			changed = true
		}
	}
	for id := range j.saved {
		if len(j.saved) <= maxSaved {
			break
		}
		if !j.g.isAlive(id) {
			delete(j.saved, id)
		}
	}
	if !changed || j.g.opts.Save == nil {
		return
	}
	for _, k := range j.saved {
		all = append(all, k)
	}
	j.g.opts.Save(all)
}

// missing gives the addresses where nobody alive is known: first those to join,
// resolved again each time, then the last known addresses in any order.
func (j *joiner) missing(ctx context.Context) []netip.AddrPort {
	known := map[netip.AddrPort]bool{}
	for _, p := range j.g.Peers() {
		if p.State == member.Alive {
			known[p.Addr] = true
			if p.ID != j.g.opts.ID {
				j.answered.Store(true)
			}
		}
	}
	var missing []netip.AddrPort
	add := func(a netip.AddrPort) {
		if !known[a] {
			known[a] = true
			missing = append(missing, a)
		}
	}
	faults := map[string]string{}
	for _, s := range j.seeds() {
		addrs, err := resolve(ctx, s)
		if err != nil {
			faults[s] = err.Error() // it may resolve the next time
		}
		for _, a := range addrs {
			add(a)
		}
	}
	j.mu.Lock()
	j.mu.faults = faults
	j.mu.Unlock()
	for _, k := range j.saved {
		add(k.Addr)
	}
	return missing
}

func (j *joiner) seeds() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.join
}

// Seed replaces the addresses to join.
func (g *Gossip) Seed(join []string) {
	g.join.mu.Lock()
	defer g.join.mu.Unlock()
	g.join.mu.join = slices.Clone(join)
}

// SeedFaults tells which of the addresses to join cannot be called, and why.
func (g *Gossip) SeedFaults() []string {
	g.join.mu.Lock()
	defer g.join.mu.Unlock()
	return slices.Sorted(maps.Values(g.join.mu.faults))
}

// try calls the first addresses, all at once, and counts those that answered.
func (j *joiner) try(ctx context.Context, addrs []netip.AddrPort) int {
	var answered atomic.Int64
	var calls sync.WaitGroup
	for _, a := range addrs[:min(len(addrs), rejoinAtOnce)] {
		if ctx.Err() != nil {
			break
		}
		calls.Go(func() {
			if n, err := j.g.list.Join([]string{a.String()}); err == nil && n > 0 {
				answered.Add(1)
			}
		})
	}
	calls.Wait()
	return int(answered.Load())
}

// Unanswered tells that no other agent has been met since Start.
func (g *Gossip) Unanswered() bool { return !g.join.answered.Load() }

// Join calls addresses now, and gives how many answered, not counting this agent
// itself. Agents that it meets are remembered. It does not wait past ctx.
func (g *Gossip) Join(ctx context.Context, addrs []string) (int, error) {
	own := g.own()
	var want []netip.AddrPort
	for _, s := range addrs {
		resolved, err := resolve(ctx, s)
		if err != nil {
			return 0, api.Input("%v", err)
		}
		for _, a := range resolved {
			if a != own && !slices.Contains(want, a) {
				want = append(want, a)
			}
		}
	}
	if len(want) == 0 {
		return 0, api.Input("join %s: that is this agent itself", strings.Join(addrs, " "))
	}
	answered := make(chan int, 1)
	if !g.Background(func(ctx context.Context) { answered <- g.join.try(ctx, want) }) {
		return 0, lead.ErrStopped
	}
	select {
	case n := <-answered:
		if n > 0 {
			return n, nil
		}
	case <-ctx.Done():
	}
	return 0, api.Timeout("join %s: nobody answered: check the address, the port (UDP and TCP), --flock and the key", strings.Join(addrs, " "))
}

// own is where this agent itself is.
func (g *Gossip) own() netip.AddrPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.mu.peers[g.opts.ID]; p != nil {
		return p.Addr
	}
	return netip.AddrPort{}
}

func (g *Gossip) isAlive(id election.ID) bool {
	_, alive := g.Alive(id)
	return alive
}

// resolve gives every address behind HOST[:PORT].
func resolve(ctx context.Context, s string) ([]netip.AddrPort, error) {
	host, port := s, uint16(DefaultPort)
	if h, p, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("address %q: port %q: want 1 to 65535", s, p)
		}
		host, port = h, uint16(n)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", s, err)
	}
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return addrs, nil
}

func netUDP(a netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(a) }
