package check

import (
	"fmt"
	"strings"
)

// Promise is one of the promises of the project.
type Promise struct {
	ID, Text string
	Seen     bool // whether simulations and soaks check it; others have tests of their own
}

// Promises are all of them.
var Promises = []Promise{
	{"P1", "never two geese in one term", true},
	{"P2", "never two geese at one moment", true},
	{"P3", "tokens only grow", true},
	{"P4", "a goose soon whenever a majority of voters can talk", true},
	{"P5", "one dead agent at a time never ends the flock", true},
	{"P6", "nothing that was saved is forgotten", true},
	{"P7", "nothing received crashes an agent", true},
	{"P8", "a stop changes no voters", false},
	{"P9", "no committed mark is lost", true},
}

// Verdict says how often one promise was broken.
type Verdict struct {
	Promise
	Broken int // how often
}

// Verdicts returns the verdict of each promise; broken counts violations by promise.
func Verdicts(broken map[string]int) (all []Verdict) {
	for _, p := range Promises {
		all = append(all, Verdict{p, broken[p.ID]})
	}
	return all
}

// Word returns the verdict in a word or two.
func (v Verdict) Word() string {
	switch {
	case v.Broken > 0:
		return "BROKEN " + Count(v.Broken, "time")
	case !v.Seen:
		return "not checked here"
	}
	return "kept"
}

// Kept returns the verdicts for people, in lines.
func Kept(broken map[string]int) string {
	var b strings.Builder
	for _, v := range Verdicts(broken) {
		fmt.Fprintf(&b, "%s  %-16s %s\n", v.ID, v.Word(), v.Text)
	}
	return b.String()
}

// Count returns a number and its noun for people: "1 gap", "3 gaps".
func Count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
