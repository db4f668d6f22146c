package flock

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/monitor"
	"duckduckgoose/cmd/ddgoose/top"
)

// pictures makes pictures of a flock. Only one goroutine may use it.
type pictures struct {
	f     *Flock
	m     *Monitor
	pulse *monitor.Pulse
	views monitor.Views
	odd   map[string]time.Time // since when an agent shows rules that the driver did not give it
}

// oddAfter is how long an agent may take to show new rules.
const oddAfter = time.Second

func newPictures(f *Flock, m *Monitor) *pictures {
	return &pictures{f: f, m: m, pulse: monitor.NewPulse(m), odd: map[string]time.Time{}}
}

// follow asks agents for what a watch does not report, until the monitor is closed.
func (g *pictures) follow() {
	g.m.Go(g.pulse.Follow)
	g.m.Go(func(ctx context.Context) { g.views.Follow(ctx, g.pulse, "") })
}

// Take returns the flock as it is now, and a channel that is closed when it
// changes.
func (g *pictures) Take() (top.Picture, <-chan struct{}) {
	var up map[string]api.Status
	changed := g.m.Look(func(latest map[string]api.Status) { up = maps.Clone(latest) })
	p := top.Picture{At: time.Now(), Title: fmt.Sprintf("a flock of %d in %s", len(g.f.names), g.f.opts.Dir), Faults: g.f.Faults()}
	for _, name := range g.f.names {
		s, ok := up[name]
		p.Agents = append(p.Agents, g.pictureOf(g.f.agents[name], s, ok))
	}
	p.See(g.views.Now())
	return p, changed
}

// Client talks to an agent.
func (g *pictures) Client(name string) *client.Client { return g.m.Client(name) }

func (g *pictures) pictureOf(a *Agent, s api.Status, up bool) top.Agent {
	p := top.Agent{Name: a.Name, State: top.StateUp, Local: true, Status: s, Log: a.Log}
	a.mu.Lock()
	runs, killed, born, ended := a.proc != nil, a.killed || a.held, a.born, a.ended
	if runs {
		p.PID = a.proc.Pid
	}
	a.mu.Unlock()
	p.Age = time.Since(born)
	switch {
	case runs && up && g.pulse.Hangs(a.Name):
		p.State, p.Status, p.Note = top.StateSilent, api.Status{}, top.Hangs
		return p
	case runs && up:
		p.Left = g.pulse.Left(a.Name, &s)
		p.Note = g.note(&p)
		return p
	case runs:
		p.State = top.StateStarting
		return p
	}
	p.Age = time.Since(ended)
	p.State = top.StateEnded
	if killed {
		p.State = top.StateKilled
	} else if err := a.Exit(); err != nil {
		p.Note = err.Error()
	}
	return p
}

// note returns the rules of this agent alone, or its first warning.
func (g *pictures) note(p *top.Agent) string {
	rules := p.Status.Netem
	if rules == g.f.Rules(p.Name) {
		delete(g.odd, p.Name)
	} else {
		if _, known := g.odd[p.Name]; !known {
			g.odd[p.Name] = time.Now()
		}
		if time.Since(g.odd[p.Name]) > oddAfter {
			return "netem " + cmp.Or(rules, "cleared")
		}
	}
	for _, w := range p.Status.Warnings {
		if !strings.HasPrefix(w, api.FaultsInForce) { // the screen shows them once for all
			return w
		}
	}
	return ""
}
