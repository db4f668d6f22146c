package netem

import (
	"fmt"
	"slices"
	"strings"
)

// Rules is a valid list of rules, in the form in which it prints. Equal rules are
// ==, however they were written. The zero Rules has none: everything passes.
type Rules struct{ text string }

// Parse reads rules as the package comment defines them; "": no rules. An error
// names the wrong word, counted from 1, and says what would be right.
func Parse(s string) (Rules, error) {
	list, err := parse(s)
	if err != nil {
		return Rules{}, fmt.Errorf("rules: %w", err)
	}
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].String()
	}
	return Rules{strings.Join(texts, "; ")}, nil
}

// String prints the rules so that Parse gives them back: each rule's faults in
// the order of the grammar, without what is a default.
func (r Rules) String() string { return r.text }

// IsZero reports whether there is no rule.
func (r Rules) IsZero() bool { return r.text == "" }

// Then returns the rules of r followed by those of next. Where both match, r decides.
func (r Rules) Then(next Rules) Rules {
	if r.IsZero() {
		return next
	}
	if next.IsZero() {
		return r
	}
	return Rules{r.text + "; " + next.text}
}

// Unmatched returns the PEER words that match none of the peers; the peers' addresses are
// in canonical form.
func (r Rules) Unmatched(peers []Peer) (words []string) {
	for _, rule := range r.compile() {
		for i := range rule.peers {
			word := rule.peers[i].String()
			if !rule.peers[i].all && !slices.ContainsFunc(peers, rule.peers[i].matches) && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return words
}

// compile returns the rules in the form used for matching. The text always parses,
// because this package printed it.
func (r Rules) compile() []rule {
	list, err := parse(r.text)
	if err != nil {
		panic(fmt.Sprintf("netem: rules %q do not parse as they print: %v", r.text, err))
	}
	return list
}

// directions of a rule: one bit per Direction.
type directions uint8

const both = directions(1<<Out | 1<<In)

// rule is one RULE.
type rule struct {
	dirs   directions
	peers  []pattern
	faults faults
}

// matches expects p.Addr in canonical form.
func (r *rule) matches(dir Direction, p Peer) bool {
	if r.dirs&(1<<dir) == 0 {
		return false
	}
	for i := range r.peers {
		if r.peers[i].matches(p) {
			return true
		}
	}
	return false
}

func (r *rule) String() string {
	var b strings.Builder
	switch r.dirs {
	case 1 << Out:
		b.WriteString("out ")
	case 1 << In:
		b.WriteString("in ")
	}
	for i := range r.peers {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.peers[i].String())
	}
	b.WriteByte(':')
	r.faults.print(&b)
	return b.String()
}
