package bench

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/memory"
)

// crowdedFlock is a flock of agents in this process.
type crowdedFlock struct {
	o       *ScaleOptions
	n       int
	judge   *judge
	net     *memory.Network
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	agents  []*crowdedAgent
	lost    atomic.Int64  // times that a goose was one no longer
	changed chan struct{} // of capacity 1: somebody heard something, or ended

	mu  sync.Mutex // guards err
	err error      // of the first agent that ended by itself
}

// crowdedAgent is one of them, as it showed itself last.
type crowdedAgent struct {
	*agent.Agent
	mu   sync.Mutex
	last api.Status
}

func (a *crowdedAgent) latest() api.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// start starts all agents: those that become voters found the flock, and the others join it.
func (w *crowdedFlock) start(ctx context.Context) error {
	ctx, w.cancel = context.WithCancel(ctx)
	founders := min(w.n, 5)
	join := ""
	for i := range w.n {
		cfg := w.o.Agent
		cfg.Name, cfg.Flock = fmt.Sprintf("agent%d", i), "bench"
		cfg.Insecure, cfg.Socket, cfg.DataDir, cfg.FS = true, agent.NoSocket, "/data", memfs.New(w.o.Seed+uint64(i))
		if i < founders {
			cfg.Expect = founders
		}
		if join != "" {
			cfg.Join = []string{join}
		}
		cfg.Bind = "127.0.0.1:0"
		if !w.o.Loopback {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 3825)
			cfg.Bind = addr.String()
			cfg.Listen = func(string) (agent.Transport, agent.Faults, error) {
				e, err := w.net.Listen(addr)
				return e, nil, err
			}
		}
		made, err := agent.New(cfg)
		if err != nil {
			return err
		}
		a := &crowdedAgent{Agent: made}
		w.agents = append(w.agents, a)
		w.ended.Go(func() {
			if err := a.Run(ctx); err != nil {
				w.fail(fmt.Errorf("%s: %w", cfg.Name, err))
			}
		})
		w.ended.Go(func() {
			for s := range a.Watch(ctx) {
				w.hear(a, &s)
			}
		})
		if join == "" {
			err := w.until(ctx, "the first agent to listen", func() bool {
				join = a.latest().Addr
				at, err := netip.ParseAddrPort(join)
				return err == nil && at.Port() != 0
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *crowdedFlock) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
}

// close ends all agents at once: nobody needs to take over.
func (w *crowdedFlock) close() error {
	for _, a := range w.agents {
		a.Abort()
	}
	w.cancel()
	w.ended.Wait()
	return w.err
}

func (w *crowdedFlock) hear(a *crowdedAgent, s *api.Status) {
	w.judge.hear(s)
	a.mu.Lock()
	if a.last.Role == api.RoleGoose && s.Role != api.RoleGoose {
		w.lost.Add(1)
	}
	a.last = *s
	a.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// until waits for a condition, judged at every change. It fails if an agent ends by itself.
func (w *crowdedFlock) until(ctx context.Context, what string, ok func() bool) error {
	return wait(ctx, what, w.o.Wait, func() (bool, <-chan struct{}, error) {
		_ = flock.Sleep(ctx, time.Millisecond) // many changes come together
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok(), w.changed, w.err
	})
}

// whole waits until all know the same goose and count all agents.
func (w *crowdedFlock) whole(ctx context.Context) error {
	var know, count int
	err := w.until(ctx, "all agents to know one goose and all the others", func() bool {
		_, token := w.goose()
		know, count = 0, 0
		for _, a := range w.agents {
			s := a.latest()
			if token != 0 && s.Token == token {
				know++
			}
			if s.Alive == w.n {
				count++
			}
		}
		return know == w.n && count == w.n
	})
	if err != nil && know+count < 2*w.n {
		return fmt.Errorf("%w: of %d, %d know the goose and %d count all", err, w.n, know, count)
	}
	return err
}

// goose returns the agent that shows itself as the goose.
func (w *crowdedFlock) goose() (*crowdedAgent, uint64) {
	for _, a := range w.agents {
		if s := a.latest(); s.Role == api.RoleGoose {
			return a, s.Token
		}
	}
	return nil, 0
}
