package shape

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// agentsByRole is the agents of a partition by roles: the goose, the other voters, and the
// agents without a vote.
type agentsByRole struct {
	goose  string
	voters []string
	rest   []string
}

// fewest is the number of voters that each role needs, the goose included.
const fewest = 3

// Roles returns the names of the partitions by roles.
func Roles() []string { return slices.Sorted(maps.Keys(roles)) }

// ByRole returns the partition by roles that text names: agents get their roles in
// the order of names. It parses any other text as [Parse] does.
func ByRole(text, goose string, voters, names []string) (Shape, error) {
	role, ok := roles[text]
	switch {
	case !ok:
		return Parse(text)
	case !slices.Contains(voters, goose):
		return Shape{}, errors.New("there is no goose")
	case len(voters) < fewest:
		return Shape{}, fmt.Errorf("there are %d voters", len(voters))
	}
	c := agentsByRole{goose: goose}
	for _, name := range names {
		switch {
		case name == goose:
		case slices.Contains(voters, name):
			c.voters = append(c.voters, name)
		default:
			c.rest = append(c.rest, name)
		}
	}
	return Parse(role(&c))
}

// Flap cuts each one-way link for which chance returns true.
func Flap(names []string, chance func() bool) Shape {
	var cut []string
	for _, a := range names {
		for _, b := range names {
			if a != b && chance() {
				cut = append(cut, a+">"+b)
			}
		}
	}
	s, _ := Parse(strings.Join(cut, ",")) // none: it cuts nothing
	return s
}

// all returns all agents, the goose first.
func (c *agentsByRole) all() []string {
	return slices.Concat([]string{c.goose}, c.voters, c.rest)
}

// apart puts the goose and withGoose voters into one group, the next voters into
// groups of the given sizes, and the rest into a last group.
func (c *agentsByRole) apart(withGoose int, sizes ...int) string {
	groups := []string{strings.Join(c.all()[:1+withGoose], ",")}
	left := c.voters[withGoose:]
	for _, n := range sizes {
		groups = append(groups, strings.Join(left[:n], ","))
		left = left[n:]
	}
	if left = slices.Concat(left, c.rest); len(left) > 0 {
		groups = append(groups, strings.Join(left, ","))
	}
	return strings.Join(groups, "/")
}

// most is the number of voters that are a majority.
func (c *agentsByRole) most() int { return (len(c.voters)+1)/2 + 1 }

// roles makes the partitions, by name.
var roles = map[string]func(*agentsByRole) string{
	// The goose with one voter less than a majority.
	"minority": func(c *agentsByRole) string { return c.apart(c.most() - 2) },
	// The goose with the smallest majority.
	"majority": func(c *agentsByRole) string { return c.apart(c.most() - 1) },
	// Three groups, none with a majority.
	"no-majority": func(c *agentsByRole) string { return c.apart(c.most()-2, min(c.most()-1, len(c.voters)-c.most()+2)) },
	"goose-alone": func(c *agentsByRole) string { return c.apart(0) },
	// Nobody hears the goose, or the goose hears nobody.
	"goose-mute": func(c *agentsByRole) string {
		return links(c.all()[1:], func(_ int, x string) string { return c.goose + ">" + x })
	},
	"goose-deaf": func(c *agentsByRole) string {
		return links(c.all()[1:], func(_ int, x string) string { return x + ">" + c.goose })
	},
	// Each agent is not heard by one other.
	"one-way": func(c *agentsByRole) string {
		all := c.all()
		return links(all, func(i int, x string) string { return x + ">" + all[(i+2)%len(all)] })
	},
	// One duck alone reaches everybody.
	"star": func(c *agentsByRole) string {
		hub := c.voters[0]
		return links(slices.Concat([]string{c.goose}, c.voters[1:], c.rest), func(_ int, x string) string { return hub + "-" + x })
	},
	// Each agent reaches its neighbours only, and the goose is at the end.
	"chain": func(c *agentsByRole) string {
		all := c.all()
		return links(all[1:], func(i int, x string) string { return all[i] + "-" + x })
	},
}

func links(names []string, link func(i int, name string) string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = link(i, name)
	}
	return strings.Join(all, ",")
}
