package election

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// rule4LeftOut lets a new leader keep its config as it was.
var rule4LeftOut = mcFault{name: "rule 4 left out", counted: func(was, n *Node, _ Input, fx *Effects) {
	if n.role == Leader && was.role != Leader {
		n.rec.Config.Term = was.rec.Config.Term
		mcShow(n, fx)
	}
}}

// TestModelCheckSingleServerBug is the bug of 2015 in Raft's change of one
// server at a time (Ongaro, raft-dev, 10 July 2015), in five agents: two leaders
// change the same config, each in its own term, to sets of voters whose
// majorities do not meet. A leader that has to commit a config of its own term
// first (rules 4 and 5) leaves the older one behind, where no majority votes for it.
func TestModelCheckSingleServerBug(t *testing.T) {
	require.Equal(t, 2, newSingleServer(rule4LeftOut).leadersOfTerm3())
	require.Equal(t, 1, newSingleServer(mcFault{}).leadersOfTerm3())
}

// singleServer are five agents without clocks, of which a to d are voters.
type singleServer struct {
	u      mcUntimed
	agents map[ID]*mcAgent
}

func newSingleServer(f mcFault) *singleServer {
	s := &singleServer{u: mcUntimed{mcHarness: mcHarness{f}}, agents: map[ID]*mcAgent{}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		a := &mcAgent{disk: Record{FlockID: testFlock, PromiseMax: mcSettings(ID{}).Lease}}
		if name != "e" {
			a.disk.Config = configOf("a", "b", "c", "d")
		}
		s.u.boot(a, idOf(name), true, mcSettings(idOf(name)))
		s.u.settle(a)
		s.agents[idOf(name)] = a
	}
	return s
}

// leadersOfTerm3 plays the story and counts who won term 3.
func (s *singleServer) leadersOfTerm3() int {
	s.campaign("a", "bcd")
	s.change("a", Change{Voter: Voter{idOf("e"), 100}}, "e") // known to a and e alone
	s.campaign("b", "cd")
	s.change("b", Change{Voter: Voter{ID: idOf("a")}, Remove: true}, "c") // known to b and c: a majority of b, c, d
	s.campaign("a", "de")                                                 // after term 2, of which d tells it
	s.campaign("c", "b")
	won := 0
	for _, a := range s.agents {
		if a.node.role == Leader && a.node.rec.Term == 3 {
			won++
		}
	}
	return won
}

// campaign lets a node time out until it has asked at a term that nobody knew,
// with the network whole between it and those reached.
func (s *singleServer) campaign(name, reached string) {
	a := s.agents[idOf(name)]
	for _, r := range reached {
		if m, ok := mcInform(s.agents[idOf(string(r))], a.node.set.ID); ok {
			s.deliver([]Message{m}, name)
		}
	}
	sent := s.u.campaign(a, nil)
	s.u.settle(a)
	s.deliver(sent, name+reached)
}

func (s *singleServer) change(name string, c Change, reached string) {
	a := s.agents[idOf(name)]
	sent := s.u.change(a, c)
	s.u.settle(a)
	s.deliver(sent, name+reached)
}

// deliver delivers messages, and those that answer them, among the reached.
func (s *singleServer) deliver(queue []Message, reached string) {
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		for _, r := range reached {
			if a := s.agents[m.To]; m.To == idOf(string(r)) {
				sent := s.u.do(a, &m, nil)
				s.u.settle(a)
				queue = append(queue, mcPlain(sent)...)
			}
		}
	}
}

// mcShow makes a step's effects those of another config than it made.
func mcShow(n *Node, fx *Effects) {
	fx.Record = n.rec
	for i := range fx.Send {
		m := &fx.Send[i]
		m.ConfigID = n.rec.Config.ConfigID
		if m.Config.N > 0 {
			m.Config = n.rec.Config
		}
	}
}
