package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

const (
	// savedAtOnce is how many agents are saved as soon as they are met: about the
	// voters of a flock. The rest is saved once a round.
	savedAtOnce = 8
	// savePace delays the next save, for each agent in the last one.
	savePace = 2 * time.Millisecond
	// maxSaved bounds the addresses kept of agents that are gone.
	maxSaved = 256
)

// Known is where an agent was last seen.
type Known struct {
	ID   election.ID
	Name string
	Addr netip.AddrPort
}

// gone counts the agents at known addresses that are not alive.
func (j *joiner) gone() (n int) {
	g := j.g
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range j.saved {
		if p := g.mu.peers[id]; p == nil || p.State != member.Alive {
			n++
		}
	}
	return n
}

// remember saves the last known addresses when they have changed. Many addresses
// are saved less often, because the work grows with their number.
func (j *joiner) remember() {
	j.g.sweep()
	if len(j.saved) >= savedAtOnce && time.Now().Before(j.saveAt) || !j.takePeers() {
		return
	}
	j.saveAt = time.Now().Add(time.Duration(len(j.saved)) * savePace)
	if j.g.opts.Save != nil {
		j.g.opts.Save(slices.Collect(maps.Values(j.saved)))
	}
}

// takePeers brings saved up to date, and tells whether that changed it.
func (j *joiner) takePeers() (changed bool) {
	g := j.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if j.seen == g.mu.version {
		return false
	}
	j.seen = g.mu.version
	for id, p := range g.mu.peers {
		shown, ok := p.shown()
		if !ok || id == g.opts.ID {
			continue
		}
		if shown.State == member.Alive && !j.answered.Swap(true) {
			j.metIn = j.rounds
		}
		k, was := Known{id, shown.Meta.Name, shown.Addr}, j.saved[id]
		switch {
		case shown.State == member.Left && was.ID == id:
			delete(j.saved, id)
			changed = true
		case shown.State != member.Left && was != k:
			j.saved[id] = k
			changed = true
		}
	}
	for id := range j.saved {
		if len(j.saved) <= maxSaved {
			break
		}
		if p := g.mu.peers[id]; p == nil || p.State != member.Alive {
			delete(j.saved, id)
		}
	}
	return changed
}
