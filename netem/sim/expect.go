package sim

import (
	"fmt"
	"strconv"
	"strings"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/schedule"
)

// Unmet is an expectation of a schedule that did not hold.
type Unmet struct{ Text string }

// Error tells what was expected and what was.
func (u *Unmet) Error() string { return u.Text }

// opExpect compares what is with what a line expects.
func (s *Sim) opExpect(o *schedule.Op, _ *agent) bool {
	word, want, _ := strings.Cut(o.What, " ")
	goose := s.goose()
	is := "none"
	if goose != nil {
		is = goose.name
	}
	ok := true
	switch word {
	case "goose":
		ok = goose != nil && (want == "" || want == is)
	case "none":
		ok = goose == nil
	case "voters":
		is = s.votersOf(s.newestConfig())
		ok = sameWords(is, want)
	case "term":
		_, max := s.newest()
		is = fmt.Sprintf("term %d", max.Term)
		ok = s.termWas == 0 || s.termWas == max.Term
		s.termWas = max.Term
	case "told":
		is = counts(s.stats.Told)
		ok = s.stats.Told[want] > 0
	case "leads": // WHO ELECTION
		who, name, _ := strings.Cut(want, " ")
		is = "none"
		if goose = s.gooseOf(name); goose != nil {
			is = goose.name
		}
		ok = is == who || who == "*" && goose != nil
	case "flocks":
		flocks := map[election.FlockID]bool{}
		for _, a := range s.agents {
			if a.life != nil && a.life.node() != nil {
				flocks[a.life.member.FlockID()] = true
			}
		}
		is = strconv.Itoa(len(flocks))
		ok = is == want
	}
	if !ok {
		s.broke(&Unmet{fmt.Sprintf("%s: it is %s", o, is)})
	}
	return true
}

// sameWords compares two lists without their order.
func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	seen := map[string]int{}
	for _, w := range x {
		seen[w]++
	}
	for _, w := range y {
		seen[w]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return len(x) == len(y)
}

// newest gives the newest config on any disk, and the record of the highest term.
func (s *Sim) newest() (config, term election.Record) {
	for _, a := range s.agents {
		if a.rec.Config.N > 0 && newer(&a.rec, &config) {
			config = a.rec
		}
		if a.rec.Term > term.Term {
			term = a.rec
		}
	}
	return config, term
}

func (s *Sim) newestConfig() *election.Config {
	rec, _ := s.newest()
	return &rec.Config
}

// newer orders configs by generation, term and version.
func newer(a, b *election.Record) bool {
	if a.Generation.Number != b.Generation.Number {
		return a.Generation.Number > b.Generation.Number
	}
	return a.Config.Compare(b.Config.ConfigID) > 0
}
