package member

import (
	"hash/fnv"
	"slices"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// contestsEvery is the pause between two questions which elections an agent contests.
const contestsEvery = time.Second

// contestants records which elections the other agents contest. Gossip has a hash of
// each list; an agent with an unknown hash is asked.
type contestants struct {
	of     map[election.ID]contestList
	asking bool
	askAt  time.Duration
	last   election.ID // asked last; the next question goes to another agent
}

type contestList struct {
	hash  uint64
	names []string
}

// contestsHash returns a hash of a list of elections; 0: none.
func contestsHash(names []string) uint64 {
	if len(names) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(names))
	h := fnv.New64a()
	for _, name := range sorted {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// doesContest reports whether an agent contests an election, and whether that is known.
func (m *Member) doesContest(p *Peer, name string) (does, known bool) {
	switch p.Meta.Elections {
	case 0:
		return false, true
	case m.contestsHash:
		return slices.Contains(m.set.Elections, name), true
	}
	list, ok := m.contestants.of[p.ID]
	return slices.Contains(list.names, name), ok && list.hash == p.Meta.Elections
}

// ContestedBy reports whether a live agent contests this election, and whether that is
// known.
func (e *Election) ContestedBy(id election.ID) (does, known bool) {
	if id == e.m.id {
		return e.contested, true
	}
	p := e.m.live(id)
	if p == nil {
		return false, false
	}
	if e.number != 0 && p.Meta.Elections != 0 && p.Meta.Elections == e.m.contestsHash {
		return e.contested, true // their lists are the same
	}
	return e.m.doesContest(p, e.name)
}

// learnContestants asks one agent with an unknown list.
func (m *Member) learnContestants(now time.Duration) {
	cs := &m.contestants
	if cs.asking || now < cs.askAt || len(m.elections) == 1 {
		return
	}
	var next *Peer // the first after the last one asked, or the first of all
	for i := range m.peers {
		p := &m.peers[i]
		hash := p.Meta.Elections
		if p.State != Alive || p.ID == m.id || hash == 0 || hash == m.contestsHash || cs.of[p.ID].hash == hash {
			continue
		}
		if next == nil || isAfter(p.ID, cs.last, next.ID) {
			next = p
		}
	}
	if next == nil {
		return
	}
	id, hash := next.ID, next.Meta.Elections
	cs.asking, cs.askAt, cs.last = true, now+contestsEvery, id
	m.askTable(id, TableQuestion{}, func(got *TableAnswer, _ []store.Election) {
		cs.asking = false
		if got == nil || len(got.Contests) >= store.MaxElections || contestsHash(got.Contests) != hash {
			return
		}
		if cs.of == nil || len(cs.of) >= sightingsMost {
			cs.of = map[election.ID]contestList{}
		}
		cs.of[id] = contestList{hash, got.Contests}
	})
}

// isAfter reports whether a follows last sooner than b does, in a circle.
func isAfter(a, last, b election.ID) bool {
	if past := a.Compare(last) > 0; past != (b.Compare(last) > 0) {
		return past
	}
	return a.Compare(b) < 0
}
