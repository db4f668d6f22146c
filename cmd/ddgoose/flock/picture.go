package flock

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// picture is the flock at one moment, as the table and the lines show it.
type picture struct {
	at     time.Time
	faults string
	agents []portrait
}

// portrait is one agent of a picture.
type portrait struct {
	name   string
	state  string // one of the states below
	status api.Status
	left   time.Duration // of its lease; 0: none
	age    time.Duration
	note   string // what is unusual
}

// The states of a portrait.
const (
	stateUp       = "up"
	stateStarting = "starting" // it runs and does not answer yet
	stateKilled   = "killed"
	stateEnded    = "ended" // by itself
)

// role is what the table calls the agent.
func (p *portrait) role() string {
	switch {
	case p.state != stateUp:
		return p.state
	case p.status.Role == api.RoleDead:
		return "dead (simulated)"
	case p.status.Role == api.RoleDuck && !p.status.Voter && p.status.FlockID != "":
		return "observer"
	}
	return p.status.Role
}

// goose is the agent that calls itself goose, by the highest token; nil: none.
func (p *picture) goose() *portrait {
	var goose *portrait
	for i := range p.agents {
		a := &p.agents[i]
		if a.state == stateUp && a.status.Role == api.RoleGoose && (goose == nil || a.status.Token > goose.status.Token) {
			goose = a
		}
	}
	return goose
}

// gallery makes pictures, for one goroutine.
type gallery struct {
	f      *Flock
	m      *Monitor
	leases leases
	odd    map[string]time.Time // since when an agent has rules that it did not get from us
}

// oddAfter is how long an agent may take to show the rules that it got.
const oddAfter = time.Second

func newGallery(f *Flock, m *Monitor) *gallery {
	return &gallery{f: f, m: m, odd: map[string]time.Time{}}
}

func (g *gallery) take() (picture, <-chan struct{}) {
	var up map[string]api.Status
	changed := g.m.Look(func(latest map[string]api.Status) { up = maps.Clone(latest) })
	p := picture{at: time.Now(), faults: g.f.Faults()}
	for _, name := range g.f.names {
		s, ok := up[name]
		p.agents = append(p.agents, g.portrait(g.f.agents[name], s, ok))
	}
	return p, changed
}

func (g *gallery) portrait(a *Agent, s api.Status, up bool) portrait {
	p := portrait{name: a.Name, state: stateUp, status: s}
	a.mu.Lock()
	runs, killed, born, ended := a.proc != nil, a.killed || a.held, a.born, a.ended
	a.mu.Unlock()
	p.age = time.Since(born)
	switch {
	case runs && up:
		p.left = g.leases.left(a.Name, &s)
		p.note = g.note(&p)
		return p
	case runs:
		p.state = stateStarting
		return p
	}
	p.age = time.Since(ended)
	p.state = stateEnded
	if killed {
		p.state = stateKilled
	} else if err := a.Exit(); err != nil {
		p.note = err.Error()
	}
	return p
}

// note tells what was done to this agent alone, or what it warns of.
func (g *gallery) note(p *portrait) string {
	rules := p.status.Netem
	if rules == g.f.Rules(p.name) {
		delete(g.odd, p.name)
	} else {
		if _, known := g.odd[p.name]; !known {
			g.odd[p.name] = time.Now()
		}
		if time.Since(g.odd[p.name]) > oddAfter {
			return "netem " + orElse(rules, "cleared")
		}
	}
	for _, w := range p.status.Warnings {
		if p.status.Netem == "" || !strings.Contains(w, p.status.Netem) { // the faults are told for all
			return w
		}
	}
	return ""
}

// leases knows until when leases last: a watch tells of no renewal.
type leases struct {
	mu    sync.Mutex
	until map[string]time.Duration // by the boot clock
}

// askEvery is how often the goose is asked for its lease.
const askEvery = 250 * time.Millisecond

// left gives what is left of a lease now.
func (l *leases) left(name string, s *api.Status) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Role != api.RoleGoose {
		return 0
	}
	return max(max(l.until[name], time.Duration(s.Lease.UntilBoottimeNS))-boottime.Now(), 0)
}

// follow asks whoever is goose, until ctx ends.
func (l *leases) follow(ctx context.Context, f *Flock, m *Monitor) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		goose := ""
		m.Look(func(up map[string]api.Status) {
			for name, s := range up {
				if s.Role == api.RoleGoose && (goose == "" || s.Token > up[goose].Token) {
					goose = name
				}
			}
		})
		if goose == "" {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, askEvery)
		s, err := f.agents[goose].Client().Status(ask)
		cancel()
		if err != nil {
			continue // it hangs or has gone: what is left runs out
		}
		l.mu.Lock()
		if l.until == nil {
			l.until = map[string]time.Duration{}
		}
		l.until[goose] = time.Duration(s.Lease.UntilBoottimeNS)
		l.mu.Unlock()
	}
}
