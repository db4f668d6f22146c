package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/monitor"
	"duckduckgoose/cmd/ddgoose/top"
)

const (
	// topRetry is the pause between attempts to reach an agent that is gone.
	topRetry = 250 * time.Millisecond
	// topSearch is how often the folder is searched for more of the flock.
	topSearch = 2 * time.Second
)

// neighbours are the agent at a socket and the agents of its flock with sockets in the same
// folder. It is a [top.Source].
type neighbours struct {
	home  string // the socket
	first api.Status
	m     *monitor.Monitor
	pulse *monitor.Pulse
	views monitor.Views

	mu      sync.Mutex // guards what follows
	sockets map[string]string
	seen    map[string]processSeen
}

// processSeen is what is known of an agent's process.
type processSeen struct {
	up          bool
	born, ended time.Time
}

// watchNeighbours follows the agent at a socket, whose status is s, and its
// neighbours, until close.
func watchNeighbours(ctx context.Context, socket string, s api.Status) *neighbours {
	n := &neighbours{home: filepath.Clean(socket), first: s, sockets: map[string]string{}, seen: map[string]processSeen{}}
	n.m = monitor.New(ctx, topRetry, n.heard)
	n.m.Rescue = top.Rescue
	n.pulse = monitor.NewPulse(n.m)
	n.follow(s.Name, n.home)
	n.m.Go(n.search)
	n.m.Go(n.pulse.Follow)
	n.m.Go(func(ctx context.Context) { n.views.Follow(ctx, n.pulse, s.Name) })
	return n
}

func (n *neighbours) close() { n.m.Close() }

// heard notes when an agent started, and when it was last up.
func (n *neighbours) heard(name string, s api.Status, up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, was := time.Now(), n.seen[name]
	switch {
	case up:
		was.born = now.Add(-time.Duration(s.Uptime * float64(time.Second)))
	case was.up:
		was.ended = now
	}
	was.up = up
	n.seen[name] = was
}

func (n *neighbours) follow(name, socket string) {
	n.mu.Lock()
	n.sockets[name] = socket
	n.mu.Unlock()
	n.m.Follow(name, client.New(socket))
}

// search looks for more agents of the flock in the folder, until ctx ends.
func (n *neighbours) search(ctx context.Context) {
	tick := time.NewTicker(topSearch)
	defer tick.Stop()
	for {
		folder := filepath.Dir(n.home)
		files, _ := os.ReadDir(folder) // an unreadable folder has none
		for _, file := range files {
			path := filepath.Join(folder, file.Name())
			if filepath.Ext(path) == ".sock" && file.Name() != client.DriverSocket && !n.follows(path) {
				n.followIfOurs(ctx, path)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *neighbours) follows(path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(n.sockets)), path)
}

// followIfOurs follows the agent at a socket if it belongs to the flock.
func (n *neighbours) followIfOurs(ctx context.Context, path string) {
	ask, cancel := context.WithTimeout(ctx, topSearch)
	defer cancel()
	s, err := client.New(path).Status(ask)
	if err == nil && ofOneFlock(&s, &n.first) && n.m.Client(s.Name) == nil {
		n.follow(s.Name, path)
	}
}

// ofOneFlock reports whether two agents belong to one flock, or will once it is founded.
func ofOneFlock(a, b *api.Status) bool {
	return a.Flock == b.Flock && (a.FlockID == b.FlockID || a.FlockID == "" || b.FlockID == "")
}

// Client talks to an agent whose socket is here; nil: it is not.
func (n *neighbours) Client(name string) *client.Client { return n.m.Client(name) }

// Take returns the flock as it is now, and a channel that is closed when it
// changes.
func (n *neighbours) Take() (top.Picture, <-chan struct{}) {
	var up map[string]api.Status
	changed := n.m.Look(func(latest map[string]api.Status) { up = maps.Clone(latest) })
	view := n.views.Now()
	p := top.Picture{At: time.Now(), Title: fmt.Sprintf("flock %s, sockets in %s", n.first.Flock, filepath.Dir(n.home))}
	members := map[string]api.Member{}
	for _, m := range view.Members {
		members[m.Name] = m
	}
	n.mu.Lock()
	if len(up) == 0 && len(n.seen) > 0 {
		p.Trouble = "no agent answers at " + n.home
	}
	for name, socket := range n.sockets {
		s, answers := up[name]
		m, listed := members[name]
		if delete(members, name); answers || listed && m.State != api.StateLeft || exists(socket) || len(up) == 0 {
			p.Agents = append(p.Agents, n.agent(name, s, answers))
		}
	}
	n.mu.Unlock()
	for name, m := range members {
		state := m.State
		if len(up) == 0 {
			state = top.StateUnknown
		}
		p.Agents = append(p.Agents, top.Agent{Name: name, State: state, Member: &m})
	}
	p.See(view)
	n.missing(&p)
	slices.SortFunc(p.Agents, func(a, b top.Agent) int { return cmp.Compare(a.Name, b.Name) })
	return p, changed
}

// missing adds the voters that no agent lists: they count for a majority.
func (n *neighbours) missing(p *top.Picture) {
	listed := map[string]bool{}
	for i := range p.Agents {
		a := &p.Agents[i]
		switch {
		case a.Status.ID != "":
			listed[a.Status.ID] = true
		case a.Member != nil:
			listed[a.Member.ID] = true
		default: // it has not answered yet: only its name is known
			listed[a.Name] = true
		}
	}
	for _, v := range p.Voters() {
		if !listed[v.ID] && !listed[v.Name] {
			m := api.Member{Name: cmp.Or(v.Name, v.ID), ID: v.ID, Voter: true, Priority: v.Priority}
			p.Agents = append(p.Agents, top.Agent{Name: m.Name, State: top.StateUnknown, Member: &m, Note: "a voter that gossip does not know"})
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil || !os.IsNotExist(err)
}

// agent returns what is known of an agent whose socket is here. The caller holds mu.
func (n *neighbours) agent(name string, s api.Status, answers bool) top.Agent {
	seen, heard := n.seen[name]
	a := top.Agent{Name: name, State: top.StateSilent, Local: heard}
	switch {
	case !heard:
		a.State = top.StateStarting
		return a
	case !answers:
		if !seen.ended.IsZero() {
			a.Age = time.Since(seen.ended)
		}
		return a
	}
	a.Age = time.Since(seen.born)
	if n.pulse.Hangs(name) {
		a.Note = top.Hangs
		return a
	}
	a.State, a.Status, a.Left = top.StateUp, s, n.pulse.Left(name, &s)
	if len(s.Warnings) > 0 {
		a.Note = s.Warnings[0]
	}
	return a
}
