package flock

import (
	"fmt"
	"slices"
	"strings"
)

// Partition says which links of the flock are cut. The zero value cuts none.
type Partition struct {
	text   string
	groups [][]string
	cut    [][2]string // one-way: nothing passes from the first to the second
	only   [][2]string // when not nil, only these links are open, both ways
}

// ParsePartition reads a shape: groups "a,b/c,d,e" (an unnamed agent is a
// group alone), one-way cuts "a>b,c>d", or the only links left "a-b,a-c".
func ParsePartition(shape string) (Partition, error) {
	p := Partition{text: shape}
	usage := func(what string) error {
		return fmt.Errorf("shape %q: %s: want groups \"a,b/c,d,e\", one-way cuts \"a>b,c>d\", or the only links left \"a-b,a-c\"", shape, what)
	}
	kinds := 0
	for _, c := range "/>-" {
		if strings.ContainsRune(shape, c) {
			kinds++
		}
	}
	switch {
	case strings.TrimSpace(shape) == "":
		return p, usage("it is empty")
	case kinds > 1:
		return p, usage("it mixes kinds")
	case strings.Contains(shape, ">"):
		pairs, err := parsePairs(shape, ">")
		if err != nil {
			return p, usage(err.Error())
		}
		p.cut = pairs
	case strings.Contains(shape, "-"):
		pairs, err := parsePairs(shape, "-")
		if err != nil {
			return p, usage(err.Error())
		}
		p.only = pairs
	default:
		seen := map[string]bool{}
		for _, group := range strings.Split(shape, "/") {
			var names []string
			for _, name := range strings.Split(group, ",") {
				name = strings.TrimSpace(name)
				if name == "" {
					return p, usage("a name is missing")
				}
				if seen[name] {
					return p, usage(name + " is named twice")
				}
				seen[name] = true
				names = append(names, name)
			}
			p.groups = append(p.groups, names)
		}
	}
	return p, nil
}

func parsePairs(shape, sep string) ([][2]string, error) {
	var pairs [][2]string
	for _, word := range strings.Split(shape, ",") {
		a, b, ok := strings.Cut(strings.TrimSpace(word), sep)
		if !ok || a == "" || b == "" || a == b {
			return nil, fmt.Errorf("%q is not two names with %q between", word, sep)
		}
		pairs = append(pairs, [2]string{a, b})
	}
	return pairs, nil
}

// String gives the shape as it was given.
func (p Partition) String() string { return p.text }

// Named gives the agents that the shape names.
func (p Partition) Named() (names []string) {
	for _, g := range p.groups {
		names = append(names, g...)
	}
	for _, pair := range append(slices.Clone(p.cut), p.only...) {
		names = append(names, pair[0], pair[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// passes tells whether traffic gets from one agent to another.
func (p Partition) passes(from, to string) bool {
	switch {
	case p.groups != nil:
		for _, g := range p.groups {
			if slices.Contains(g, from) {
				return slices.Contains(g, to)
			}
		}
		return false
	case p.only != nil:
		return slices.Contains(p.only, [2]string{from, to}) || slices.Contains(p.only, [2]string{to, from})
	}
	return !slices.Contains(p.cut, [2]string{from, to})
}

// Cuts gives the agents that name can no longer reach, and those that no
// longer reach it.
func (p Partition) Cuts(name string, all []string) (out, in []string) {
	for _, other := range all {
		if other == name {
			continue
		}
		if !p.passes(name, other) {
			out = append(out, other)
		}
		if !p.passes(other, name) {
			in = append(in, other)
		}
	}
	return out, in
}
