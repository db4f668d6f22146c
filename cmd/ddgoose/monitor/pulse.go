package monitor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// Pulse asks agents again and again, because a watch reports no renewals of a lease, and
// nothing if an agent hangs.
type Pulse struct {
	m   *Monitor
	ask func(ctx context.Context, name string) (api.Status, error)

	mu    sync.Mutex // guards what follows
	beats map[string]*beat
}

// beat is the state of the questions to one agent.
type beat struct {
	asking      bool
	waits       int           // ticks that the question has waited for its answer
	rests       int           // ticks since the last answer
	until, left time.Duration // of its lease: the end by the boot clock, and what was left when it answered
}

const (
	// beatEvery is how often a goose is asked; the others are asked every restTicks ticks.
	beatEvery = 250 * time.Millisecond
	restTicks = 4
	// hangTicks is how many ticks an agent may leave a question open. Ticks do not pass while
	// this process is stopped, so that no agent is blamed for that time.
	hangTicks = 4
	// beatWait ends a question, so that questions to an agent that hangs do not pile up.
	beatWait = 10 * time.Second
)

// NewPulse makes the pulse of the agents that m follows; Follow starts it.
func NewPulse(m *Monitor) *Pulse {
	return &Pulse{m: m, beats: map[string]*beat{}, ask: func(ctx context.Context, name string) (api.Status, error) {
		return m.Client(name).Status(ctx)
	}}
}

// Follow asks until ctx ends; the monitor's Close waits for the last answers.
func (p *Pulse) Follow(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		for name, b := range p.due() {
			p.m.Go(func(context.Context) {
				ask, cancel := context.WithTimeout(ctx, beatWait)
				defer cancel()
				s, err := p.ask(ask, name)
				p.answered(b, &s, err == nil)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due counts a tick and returns the agents to ask now.
func (p *Pulse) due() map[string]*beat {
	roles := map[string]string{}
	p.m.Look(func(up map[string]api.Status) {
		for name, s := range up {
			roles[name] = s.Role
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.beats, func(name string, _ *beat) bool { _, up := roles[name]; return !up })
	due := map[string]*beat{}
	for name, role := range roles {
		b := p.beats[name]
		if b == nil {
			b = &beat{rests: restTicks}
			p.beats[name] = b
		}
		switch {
		case b.asking:
			b.waits++
		case role == api.RoleGoose || b.rests+1 >= restTicks:
			b.asking = true
			due[name] = b
		default:
			b.rests++
		}
	}
	return due
}

func (p *Pulse) answered(b *beat, s *api.Status, well bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.asking = false; !well {
		return // it has gone, or has hung for beatWait: waits stays
	}
	b.waits, b.rests = 0, 0
	b.until, b.left = time.Duration(s.Lease.UntilBoottimeNS), ms(s.Lease.RemainingMS)
}

// Hangs reports whether an agent accepts questions and does not answer them.
func (p *Pulse) Hangs(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.beats[name]
	return b != nil && b.waits >= hangTicks
}

// Left returns the rest of an agent's lease: as of its last answer, or by the clock while
// a question is open.
func (p *Pulse) Left(name string, s *api.Status) time.Duration {
	if s.Role != api.RoleGoose {
		return 0
	}
	until, left := time.Duration(s.Lease.UntilBoottimeNS), ms(s.Lease.RemainingMS)
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.beats[name]
	if b != nil && b.until > until {
		until, left = b.until, b.left
	}
	if b != nil && b.waits > 0 {
		left = until - boottime.Now()
	}
	return max(left, 0)
}

// choose returns the agent that knows most about the flock: the goose of the highest
// token, which hears all voters; else the preferred agent; else the first by name. "":
// no agent answers.
func (p *Pulse) choose(preferred string) (name string) {
	p.m.Look(func(up map[string]api.Status) {
		best := uint64(0)
		weigh := func(name string, s *api.Status) uint64 {
			switch {
			case s.Role == api.RoleGoose:
				return s.Token + 1
			case name == preferred:
				return 1
			}
			return 0
		}
		for _, other := range slices.Sorted(maps.Keys(up)) {
			s := up[other]
			if w := weigh(other, &s); !p.Hangs(other) && (name == "" || w > best) {
				name, best = other, w
			}
		}
	})
	return name
}
