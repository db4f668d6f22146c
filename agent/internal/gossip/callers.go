package gossip

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
	"duckduckgoose/agent/seeds"
)

// Join calls addresses now and returns how many answered, this agent itself not
// counted. It remembers the agents that it meets. It returns when ctx ends, or a
// second after the first answer.
func (g *Gossip) Join(ctx context.Context, words []string) (int, error) {
	c := callers{g: g, own: g.own(), slots: make(chan struct{}, callsAtOnce), met: make(chan struct{}, 1)}
	var want []seeds.Seed
	for _, w := range words {
		s, err := seeds.Parse(w)
		if err == nil && s.IsCommand() {
			err = errors.New("a command is for the agent's own --join: want HOST or HOST:PORT")
		}
		if err != nil {
			return 0, api.Input("address %q: %v", w, err)
		}
		want = append(want, s)
	}
	ended := make(chan struct{})
	if !g.Background(func(over context.Context) {
		c.all(over, want)
		close(ended)
	}) {
		return 0, lead.ErrStopped
	}
	var late <-chan time.Time
	for waiting := true; waiting; {
		select {
		case <-ended:
			waiting = false
		case <-late:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-c.met:
			if late == nil {
				timer := time.NewTimer(joinGrace)
				defer timer.Stop()
				late = timer.C
			}
		}
	}
	return c.result(words)
}

// callers call the addresses of one Join, those of each seed as soon as they are known.
type callers struct {
	g     *Gossip
	own   netip.AddrPort
	slots chan struct{}
	met   chan struct{} // of capacity 1: one has answered

	mu struct { // guards what follows
		sync.Mutex
		called map[netip.AddrPort]bool // true: it answered
		found  bool                    // an address, be it this agent's own
		faults []string
	}
}

// all calls all seeds and waits for the results.
func (c *callers) all(ctx context.Context, want []seeds.Seed) {
	var looks sync.WaitGroup
	for i := range want {
		looks.Go(func() {
			addrs, err := want[i].Lookup(ctx, nil)
			var calls sync.WaitGroup
			defer calls.Wait()
			for _, a := range c.take(addrs, err) {
				c.slots <- struct{}{}
				calls.Go(func() {
					defer func() { <-c.slots }()
					if c.g.join.answers(a) {
						c.answered(a)
					}
				})
			}
		})
	}
	looks.Wait()
}

// take records the result of a lookup and returns the addresses not called yet.
func (c *callers) take(addrs []netip.AddrPort, err error) (fresh []netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.mu.faults = append(c.mu.faults, err.Error())
	}
	if c.mu.called == nil {
		c.mu.called = map[netip.AddrPort]bool{}
	}
	for _, a := range addrs {
		c.mu.found = true
		if _, is := c.mu.called[a]; !is && a != c.own {
			c.mu.called[a] = false
			fresh = append(fresh, a)
		}
	}
	return fresh
}

func (c *callers) answered(a netip.AddrPort) {
	c.mu.Lock()
	c.mu.called[a] = true
	c.mu.Unlock()
	signal(c.met)
}

// result returns how many have answered by now, or why none has.
func (c *callers) result(words []string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, answered := range c.mu.called {
		if answered {
			n++
		}
	}
	line := strings.Join(words, " ")
	switch {
	case n > 0:
		return n, nil
	case len(c.mu.called) == 0 && len(c.mu.faults) > 0:
		return 0, api.Input("join %s", strings.Join(c.mu.faults, "; "))
	case len(c.mu.called) == 0 && c.mu.found:
		return 0, api.Input("join %s: that is this agent itself", line)
	}
	return 0, api.Timeout("join %s: nobody answered: check the address, the port (UDP and TCP), --flock and the key", line)
}
