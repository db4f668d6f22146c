package election

import "fmt"

// remember books what the invariants must know of an agent after a move, and
// tells which of the invariants of one agent is broken: its term and config
// never go back, it votes once a term, and nothing said to a former life of its
// disk binds it. Crashes are no excuse.
func (a *mcAgent) remember() string {
	r, g := &a.node.rec, &a.ghost
	switch {
	case g.heeds:
		return "life: bound by what a former life was told"
	case g.wills.revived:
		return "will: promised to a leader whose last will it has heard"
	case r.Term < g.term:
		return fmt.Sprintf("term: goes back from %d to %d", g.term, r.Term)
	case r.Config.Compare(g.config) < 0:
		return fmt.Sprintf("config: goes back from %v to %v", g.config, r.Config.ConfigID)
	case r.Term == g.term && !g.vote.IsZero() && !r.Vote.IsZero() && r.Vote != g.vote:
		return fmt.Sprintf("vote: for %s and for %s in term %d", nameOf(g.vote), nameOf(r.Vote), r.Term)
	}
	if r.Term > g.term {
		g.vote = ID{}
	}
	if !r.Vote.IsZero() {
		g.vote = r.Vote
	}
	g.term, g.config = r.Term, r.Config.ConfigID
	return ""
}

// mcSummary is what the invariants that span agents look at.
type mcSummary struct {
	term   uint64
	config ConfigID
	voters uint8 // a bit per agent; 0: no config
	table  Digest
	begun  mcBegun
	marks  mcMarks
	geese  [3]uint64
	ngeese int
}

func mcSummarize(a *mcAgent) mcSummary {
	r := &a.node.rec
	s := mcSummary{term: r.Term, config: r.Config.ConfigID, voters: mcVoters(&r.Config), table: r.Config.Table, begun: a.ghost.begun, marks: a.ghost.marks}
	for _, l := range []Lease{a.ghost.handed[0], a.ghost.handed[1], a.shownLease()} {
		if l.Until <= mcNow || s.ngeese > 0 && s.geese[s.ngeese-1] == l.Token || s.ngeese > 1 && s.geese[0] == l.Token {
			continue
		}
		s.geese[s.ngeese] = l.Token
		s.ngeese++
	}
	return s
}

// shownLease is what a reader who asks now is told.
func (a *mcAgent) shownLease() Lease {
	if a.ghost.lags {
		return a.ghost.shown
	}
	return a.node.lease
}

func mcVoters(c *Config) (mask uint8) {
	for _, v := range c.Members() {
		mask |= 1 << mcIndex(v.ID)
	}
	return mask
}

// broken tells which of the invariants that span agents a state breaks:
//
//	P2        at most one goose: valid deadlines of holders, crashed agents'
//	          and deposed ones' too, and leases as answered, by token
//	config    a ConfigID names one set of voters, and one table
//	table     every config above one by which elections have begun has them still
//	overlap   any two active configs' majorities overlap (Schultz et al. 2021,
//	          ActiveConfigsOverlap); active: some majority knows no newer one
//	P9        the winner of a term knows every mark reported as committed in an earlier term
//	elected   every majority of an active config knows of every term that won
//	          (ActiveConfigsSafeAtTerms)
func (v *mcView) broken(g *mcState) string {
	var s [mcAgents]*mcSummary
	geese := 0
	for i, id := range g.agents {
		s[i] = &v.of(id).sum
		geese += s[i].ngeese
	}
	if geese > 1 {
		return "P2: two geese at one moment"
	}
	for i := range s {
		for j := range i {
			if s[i].config == s[j].config && s[i].voters != s[j].voters && s[i].voters != 0 && s[j].voters != 0 {
				return fmt.Sprintf("config: %s and %s know two of %v", mcNames[i], mcNames[j], s[i].config)
			}
			if s[i].config == s[j].config && s[i].table != s[j].table && s[i].voters != 0 && s[j].voters != 0 {
				return fmt.Sprintf("config: %s and %s know two tables of %v", mcNames[i], mcNames[j], s[i].config)
			}
		}
	}
	for i := range s {
		for j := range s {
			if lost := s[i].marks.lost(&s[j].marks); lost != "" {
				return lost
			}
			b := &s[i].begun
			if s[j].voters != 0 && s[j].config.Compare(b.config) > 0 && !mcHolds(s[j].table, b.table) {
				return fmt.Sprintf("table: %s let begin what %v of %s has not", mcNames[i], s[j].config, mcNames[j])
			}
		}
	}
	for _, id := range g.soup {
		m := v.found(id)
		for i := range s {
			if m.voters != 0 && s[i].voters != 0 && m.voters != s[i].voters && m.m.Config.ConfigID == s[i].config {
				return fmt.Sprintf("config: %s knows another %v than %s sent", mcNames[i], s[i].config, nameOf(m.m.From))
			}
		}
	}
	for i := range s {
		if s[i].voters == 0 {
			continue
		}
		active := mcQuorumWithout(s[i].voters, func(k int) bool { return s[k].config.Compare(s[i].config) > 0 })
		if !active {
			continue
		}
		for j := range s {
			if s[j].voters == 0 || j == i {
				continue
			}
			if mcQuorumWithout(s[i].voters, func(k int) bool { return s[k].term >= s[j].config.Term }) {
				return fmt.Sprintf("elected: a majority of %s's %v knows nothing of term %d", mcNames[i], s[i].config, s[j].config.Term)
			}
			if j < i && !mcOverlaps[s[i].voters][s[j].voters] &&
				mcQuorumWithout(s[j].voters, func(k int) bool { return s[k].config.Compare(s[j].config) > 0 }) {
				return fmt.Sprintf("overlap: %v of %s and %v of %s", s[i].config, mcNames[i], s[j].config, mcNames[j])
			}
		}
	}
	return ""
}

// mcHolds tells whether a table has all that another has: tables only grow.
func mcHolds(table, other Digest) bool {
	for i := range table {
		if table[i] < other[i] {
			return false
		}
	}
	return true
}

// mcQuorumWithout tells whether a majority of the voters has no member that is so.
func mcQuorumWithout(voters uint8, so func(int) bool) bool {
	n, without := 0, 0
	for k := range mcAgents {
		if voters>>k&1 == 0 {
			continue
		}
		n++
		if !so(k) {
			without++
		}
	}
	return without > n/2
}

// mcOverlaps[a][b] tells whether every majority of a meets every majority of b.
var mcOverlaps = func() (all [8][8]bool) {
	for a := range uint8(8) {
		for b := range uint8(8) {
			all[a][b] = mcOverlap(a, b)
		}
	}
	return all
}()

func mcOverlap(a, b uint8) bool {
	count := func(m uint8) int { return int(m&1 + m>>1&1 + m>>2&1) }
	for p := range uint8(8) {
		for q := range uint8(8) {
			if p&^a == 0 && q&^b == 0 && p&q == 0 && 2*count(p) > count(a) && 2*count(q) > count(b) {
				return false
			}
		}
	}
	return true
}
