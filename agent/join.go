package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

const (
	// defaultPort is an address's port when it names none.
	defaultPort = 3825
	rejoinFirst = time.Second
	rejoinMost  = 30 * time.Second
	// rejoinAtOnce bounds the tries under way: one that hangs delays no other.
	rejoinAtOnce = 8
	resolveWait  = 5 * time.Second
)

// knownPeer is where an agent was last seen.
type knownPeer struct {
	ID   election.ID
	Name string
	Addr netip.AddrPort
}

// joiner finds the others again, for as long as the agent runs: memberlist
// forgets the dead after 30 s and never calls them again (its issue 222), so a
// longer cut would never heal by itself.
type joiner struct {
	g        *gossip
	ctx      context.Context
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	slots    chan struct{}
	answered atomic.Bool
	tried    atomic.Bool
	saved    map[election.ID]knownPeer
}

func (j *joiner) start(g *gossip) {
	j.g = g
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.slots = make(chan struct{}, rejoinAtOnce)
	j.saved = map[election.ID]knownPeer{}
	for _, p := range g.opts.Known {
		j.saved[p.ID] = p
	}
	j.background(j.forever)
}

func (j *joiner) stop() {
	j.cancel()
	j.ended.Wait()
}

// background runs f until it returns; stop waits for it.
func (j *joiner) background(f func(context.Context)) {
	j.ended.Add(1)
	go func() {
		defer j.ended.Done()
		f(j.ctx)
	}()
}

func (j *joiner) forever(ctx context.Context) {
	wait := rejoinFirst
	for {
		j.remember()
		if missing := j.missing(ctx); len(missing) > 0 {
			if j.try(ctx, missing) > 0 {
				wait = rejoinFirst
			}
			j.tried.Store(true)
		} else {
			wait = rejoinFirst
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, rejoinMost)
	}
}

// remember keeps the last known addresses, and has them saved when they changed.
func (j *joiner) remember() {
	changed := false
	var all []knownPeer
	for _, p := range j.g.Peers() {
		if p.ID == j.g.opts.ID {
			continue
		}
		k := knownPeer{p.ID, p.Meta.Name, p.Addr}
		if p.State == api.StateLeft {
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
	if !changed || j.g.opts.Save == nil {
		return
	}
	for _, k := range j.saved {
		all = append(all, k)
	}
	j.g.opts.Save(all)
}

// missing gives the addresses where nobody alive is known: the --join list,
// resolved anew each time, and the last known addresses.
func (j *joiner) missing(ctx context.Context) map[netip.AddrPort]bool {
	alive := map[netip.AddrPort]bool{}
	met := false
	for _, p := range j.g.Peers() {
		if p.State == api.StateAlive {
			alive[p.Addr] = true
			met = met || p.ID != j.g.opts.ID
		}
	}
	if met {
		j.answered.Store(true)
	}
	missing := map[netip.AddrPort]bool{}
	for _, k := range j.saved {
		if !alive[k.Addr] {
			missing[k.Addr] = true
		}
	}
	for _, s := range j.g.opts.Join {
		addrs, err := resolve(ctx, s)
		if err != nil {
			continue // it may resolve the next time; status warns while nobody answers
		}
		for _, a := range addrs {
			if !alive[a] {
				missing[a] = true
			}
		}
	}
	return missing
}

// try calls every address at once and counts those that answered.
func (j *joiner) try(ctx context.Context, addrs map[netip.AddrPort]bool) int {
	var answered atomic.Int64
	var calls sync.WaitGroup
	for a := range addrs {
		select {
		case j.slots <- struct{}{}:
		case <-ctx.Done():
			calls.Wait()
			return int(answered.Load())
		}
		calls.Add(1)
		go func() {
			defer calls.Done()
			defer func() { <-j.slots }()
			if n, err := j.g.list.Join([]string{a.String()}); err == nil && n > 0 {
				answered.Add(1)
			}
		}()
	}
	calls.Wait()
	return int(answered.Load())
}

// Unanswered tells that every try so far met nobody.
func (g *gossip) Unanswered() bool { return g.join.tried.Load() && !g.join.answered.Load() }

// Join calls more addresses, now and from now on, and gives how many answered.
// This agent itself never counts.
func (g *gossip) Join(ctx context.Context, addrs []string) (int, error) {
	want := map[netip.AddrPort]bool{}
	for _, s := range addrs {
		resolved, err := resolve(ctx, s)
		if err != nil {
			return 0, err
		}
		for _, a := range resolved {
			want[a] = true
		}
	}
	g.mu.Lock()
	own := g.mu.peers[g.opts.ID]
	g.mu.Unlock()
	if own != nil {
		delete(want, own.Addr)
	}
	n := g.join.try(ctx, want)
	if n == 0 {
		return 0, fmt.Errorf("join %v: nobody answered (this agent itself does not count)", addrs)
	}
	return n, nil
}

// resolve gives every address behind HOST[:PORT].
func resolve(ctx context.Context, s string) ([]netip.AddrPort, error) {
	host, port := s, uint16(defaultPort)
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
