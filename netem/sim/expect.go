package sim

import (
	"cmp"
	"fmt"
	"slices"
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
		rec := newest(s.agents)
		is = s.votersOf(&rec.Config)
		ok = sameWords(is, want)
	case "term":
		var term uint64
		for _, a := range s.agents {
			term = max(term, a.rec.Term)
		}
		is = fmt.Sprintf("term %d", term)
		ok = s.termWas == 0 || s.termWas == term
		s.termWas = term
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
	return slices.Equal(slices.Sorted(slices.Values(strings.Fields(a))), slices.Sorted(slices.Values(strings.Fields(b))))
}

// newest gives the record of the newest config on the disks of some agents.
func newest(agents []*agent) (rec election.Record) {
	for _, a := range agents {
		if a.rec.Config.N > 0 && (rec.Config.N == 0 || newer(&a.rec, &rec)) {
			rec = a.rec
		}
	}
	return rec
}

// newer orders configs by generation, term and version.
func newer(a, b *election.Record) bool {
	return cmp.Or(cmp.Compare(a.Generation.Number, b.Generation.Number), a.Config.Compare(b.Config.ConfigID)) > 0
}
