//go:build !race

package election

import (
	"container/heap"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSearchOfWildSchedules runs flocks under schedules drawn from seeds:
// hand-overs back and forth, changes of voters while the lead changes, crashes,
// cuts, raised terms, holders, and copies of messages that arrive late, acks
// of former terms among them. P1 to P3 are demanded after every step.
func TestSearchOfWildSchedules(t *testing.T) {
	seeds := mcBounds(1000, 10000)
	for seed := range seeds {
		s := newSearch(t, uint64(seed))
		for range 150 {
			s.act()
			s.run(s.dice.upTo(s.dice.upTo(200 * time.Millisecond)))
		}
	}
}

// search is one run: a cluster, and what its holders were handed.
type search struct {
	*cluster
	dice  chance
	token uint64
	seed  uint64
	won   int
	acts  map[string]Lease // what a holder of each agent may act by, crashed agents' included
}

func newSearch(t *testing.T, seed uint64) *search {
	s := &search{dice: chance(seed), seed: seed, acts: map[string]Lease{}}
	voters := []int{1, 2, 3, 3, 3, 4}[seed%6]
	s.cluster = newCluster(t, []string{"a", "b", "c", "d"}[:voters]...)
	for _, name := range []string{"a", "b", "c", "d", "e"}[voters:] {
		s.add(name, Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
	}
	s.drop = func(m *Message) bool {
		if s.dice.next()%8 == 0 || m.Kind == HeartbeatAck && s.dice.next()%2 == 0 { // a copy arrives late, perhaps after the term has changed twice
			s.flights++
			late := s.dice.upTo(s.dice.upTo(2 * time.Second))
			heap.Push(&s.queue, flight{s.now + late, s.flights, *m})
		}
		return s.dice.next()%20 == 0
	}
	return s
}

func (s *search) anyone() *member { return s.nodes[s.order[s.dice.next()%uint64(len(s.order))]] }

func (s *search) leader() *member {
	for _, name := range s.order {
		if m := s.nodes[name]; !m.down && m.node.role == Leader {
			return m
		}
	}
	return s.anyone()
}

// act lets one thing happen.
func (s *search) act() {
	m, other := s.leader(), s.anyone()
	switch how := s.dice.next() % 20; {
	case how < 5:
		s.tellNode(m, StepDown{To: other.node.set.ID})
	case how < 7: // back to the goose before
		s.tellNode(m, StepDown{To: m.node.former})
	case how < 9:
		s.tellNode(m, Change{Voter: Voter{other.node.set.ID, 100}})
	case how < 11:
		s.tellNode(m, Change{Voter: Voter{ID: other.node.set.ID}, Remove: true})
	case how < 12:
		s.tellNode(m, RaiseTerm{Term: m.node.rec.Term + s.dice.next()%3})
	case how < 13:
		s.tellNode(m, ClockJump{})
	case how < 15:
		s.tellNode(other, Holders{Attached: s.dice.next()%3 > 0})
	case how < 16:
		s.isolate(m)
	case how < 17:
		s.kill([]*member{m, other}[s.dice.next()%2].name)
	case how < 19:
		clear(s.cut)
	case how < 20:
		s.latency = 200*time.Microsecond + s.dice.upTo(20*time.Millisecond)
	}
	for _, name := range s.order {
		switch m := s.nodes[name]; {
		case m.down && s.dice.next()%3 == 0:
			s.restart(name)
			s.acts[name] = Lease{Token: s.acts[name].Token, Until: max(s.acts[name].Until, s.now)} // a guard of its own may act on
		case !m.down && m.node.npeers < 4:
			for _, o := range s.order {
				s.tellNode(m, Observe{ID: idOf(o)})
			}
		}
		// Holders end when they are told that the lead has ended.
		if m := s.nodes[name]; !m.down && s.acts[name].Until > s.now && (m.node.role != Leader || m.node.gaveUp) && s.dice.next()%2 == 0 {
			s.acts[name] = Lease{}
			s.tellNode(m, Drained{})
		}
	}
}

func (s *search) tellNode(m *member, in Input) {
	if !m.down {
		_ = s.step(m.name, in)
		s.judge()
	}
}

func (s *search) run(d time.Duration) {
	for end := s.now + d; s.next(end); {
		s.judge()
		if won := len(s.leaders); won > s.won {
			s.won = won
			if s.dice.next()%3 == 0 {
				s.isolate(s.leader())
			}
		}
	}
}

// isolate cuts an agent off, and loses what it has just sent.
func (s *search) isolate(m *member) {
	for _, name := range s.order {
		s.link(false, m.name, name)
	}
	kept := s.queue[:0]
	for _, f := range s.queue {
		if f.m.From != m.node.set.ID {
			kept = append(kept, f)
		}
	}
	s.queue = kept
	heap.Init(&s.queue)
}

// judge is P2 by what holders were handed, and P3.
func (s *search) judge() {
	geese := 0
	for _, name := range s.order {
		m := s.nodes[name]
		if l := m.node.lease; !m.down && l.Until > s.now {
			require.GreaterOrEqual(s.t, l.Token, s.token, "P3: a token of %s goes down, seed %d at %v\n%s", name, s.seed, s.now-time.Hour, s)
			s.token = l.Token
			if m.node.holders {
				s.acts[name] = Lease{Token: l.Token, Until: max(l.Until, s.acts[name].Until)}
			}
		}
		if s.acts[name].Until > s.now || !m.down && m.node.lease.Until > s.now {
			geese++
		}
	}
	require.LessOrEqual(s.t, geese, 1, "P2: seed %d at %v\n%s", s.seed, s.now-time.Hour, s)
}
