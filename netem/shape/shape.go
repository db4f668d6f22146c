// Package shape parses the words that say which links of a flock are cut: groups
// "a,b/c,d,e" (an agent that is not named is a group alone), one-way cuts
// "a>b,c>d" (nothing passes from a to b), or the only links left "a-b,a-c".
package shape

import (
	"fmt"
	"slices"
	"strings"
)

// Shape is a partition of a flock. The zero value cuts nothing.
type Shape struct {
	text   string
	groups [][]string
	cut    [][2]string // one-way: nothing passes from the first to the second
	only   [][2]string // when not nil, only these links are open, both ways
}

// Parse reads a shape.
func Parse(text string) (Shape, error) {
	s := Shape{text: text}
	kinds := 0
	for _, c := range "/>-" {
		if strings.ContainsRune(text, c) {
			kinds++
		}
	}
	var err error
	switch {
	case strings.TrimSpace(text) == "":
		err = fmt.Errorf("it is empty")
	case kinds > 1:
		err = fmt.Errorf("it mixes kinds")
	case strings.Contains(text, ">"):
		s.cut, err = parsePairs(text, ">")
	case strings.Contains(text, "-"):
		s.only, err = parsePairs(text, "-")
	default:
		s.groups, err = parseGroups(text)
	}
	if err != nil {
		return Shape{}, fmt.Errorf("shape %q: %w: want groups \"a,b/c,d,e\", one-way cuts \"a>b,c>d\", or the only links left \"a-b,a-c\"", text, err)
	}
	return s, nil
}

func parseGroups(text string) (groups [][]string, err error) {
	seen := map[string]bool{}
	for group := range strings.SplitSeq(text, "/") {
		var names []string
		for name := range strings.SplitSeq(group, ",") {
			name = strings.TrimSpace(name)
			switch {
			case name == "":
				return nil, fmt.Errorf("a name is missing")
			case seen[name]:
				return nil, fmt.Errorf("%s is named twice", name)
			}
			seen[name] = true
			names = append(names, name)
		}
		groups = append(groups, names)
	}
	return groups, nil
}

func parsePairs(text, sep string) (pairs [][2]string, err error) {
	for word := range strings.SplitSeq(text, ",") {
		a, b, ok := strings.Cut(strings.TrimSpace(word), sep)
		if !ok || a == "" || b == "" || a == b {
			return nil, fmt.Errorf("%q is not two names with %q between", word, sep)
		}
		pairs = append(pairs, [2]string{a, b})
	}
	return pairs, nil
}

// String returns the shape as it was written.
func (s Shape) String() string { return s.text }

// Named returns the agents that the shape names, sorted.
func (s Shape) Named() (names []string) {
	for _, g := range s.groups {
		names = append(names, g...)
	}
	for _, pairs := range [...][][2]string{s.cut, s.only} {
		for _, pair := range pairs {
			names = append(names, pair[:]...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Passes reports whether anything gets from one agent to another.
func (s Shape) Passes(from, to string) bool {
	switch {
	case s.groups != nil:
		for _, g := range s.groups {
			if slices.Contains(g, from) {
				return slices.Contains(g, to)
			}
		}
		return false
	case s.only != nil:
		return slices.Contains(s.only, [2]string{from, to}) || slices.Contains(s.only, [2]string{to, from})
	}
	return !slices.Contains(s.cut, [2]string{from, to})
}

// Cuts returns the agents of all that name does not reach, and those that do not
// reach it.
func (s Shape) Cuts(name string, all []string) (out, in []string) {
	for _, other := range all {
		if other == name {
			continue
		}
		if !s.Passes(name, other) {
			out = append(out, other)
		}
		if !s.Passes(other, name) {
			in = append(in, other)
		}
	}
	return out, in
}
