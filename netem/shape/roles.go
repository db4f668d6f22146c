package shape

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cast is who plays in a partition that is told by roles: the goose, the other
// voters and those without a vote, each in the order in which they get parts.
type cast struct {
	goose  string
	voters []string
	rest   []string
}

// fewest is how many voters every role has room for, the goose included.
const fewest = 3

// Roles names the partitions that are told by roles.
func Roles() []string { return slices.Sorted(maps.Keys(roles)) }

// Play gives a partition by its name in Roles, with names taking parts in their
// order, or else as Parse reads it.
func Play(text, goose string, voters, names []string) (Shape, error) {
	role, ok := roles[text]
	switch {
	case !ok:
		return Parse(text)
	case !slices.Contains(voters, goose):
		return Shape{}, errors.New("there is no goose")
	case len(voters) < fewest:
		return Shape{}, fmt.Errorf("there are %d voters", len(voters))
	}
	c := cast{goose: goose}
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

// Flap cuts each one-way link that chance chooses.
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

// all gives everybody, the goose first.
func (c *cast) all() []string {
	return slices.Concat([]string{c.goose}, c.voters, c.rest)
}

// apart puts the goose and some voters into one group, more groups of the given sizes
// beside it, and everybody else into a last one.
func (c *cast) apart(withGoose int, sizes ...int) string {
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

// most is how many voters are a majority.
func (c *cast) most() int { return (len(c.voters)+1)/2 + 1 }

// roles make partitions.
var roles = map[string]func(*cast) string{
	// The goose with a group that is short of a majority by one.
	"minority": func(c *cast) string { return c.apart(c.most() - 2) },
	// The goose with the smallest majority.
	"majority": func(c *cast) string { return c.apart(c.most() - 1) },
	// Three groups, none with a majority.
	"no-majority": func(c *cast) string { return c.apart(c.most()-2, min(c.most()-1, len(c.voters)-c.most()+2)) },
	"goose-alone": func(c *cast) string { return c.apart(0) },
	// Nobody hears the goose, or the goose hears nobody.
	"goose-mute": func(c *cast) string {
		return links(c.all()[1:], func(_ int, x string) string { return c.goose + ">" + x })
	},
	"goose-deaf": func(c *cast) string {
		return links(c.all()[1:], func(_ int, x string) string { return x + ">" + c.goose })
	},
	// Each agent is not heard by one other.
	"one-way": func(c *cast) string {
		all := c.all()
		return links(all, func(i int, x string) string { return x + ">" + all[(i+2)%len(all)] })
	},
	// One duck alone reaches everybody.
	"star": func(c *cast) string {
		hub := c.voters[0]
		return links(slices.Concat([]string{c.goose}, c.voters[1:], c.rest), func(_ int, x string) string { return hub + "-" + x })
	},
	// Each agent reaches its neighbours only, and the goose is at the end.
	"chain": func(c *cast) string {
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
