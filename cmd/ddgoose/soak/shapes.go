package soak

import (
	"maps"
	"slices"
	"strings"
)

// cast is who plays in a partition: the goose, the other voters in random
// order, and those without a vote.
type cast struct {
	goose  string
	voters []string
	rest   []string
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

// shapes make partitions in the words of package shape.
var shapes = map[string]func(*cast) string{
	// The goose with a group that is short of a majority by one.
	"minority": func(c *cast) string { return c.apart(c.most() - 2) },
	// The goose with the smallest majority.
	"majority": func(c *cast) string { return c.apart(c.most() - 1) },
	// Three groups, none with a majority.
	"no-majority": func(c *cast) string { return c.apart(c.most()-2, min(c.most()-1, len(c.voters)-c.most()+2)) },
	"goose-alone": func(c *cast) string { return c.apart(0) },
	// The goose is heard by nobody, or hears nobody.
	"goose-mute": func(c *cast) string {
		return links(c.all()[1:], func(_ int, x string) string { return c.goose + ">" + x })
	},
	"goose-deaf": func(c *cast) string {
		return links(c.all()[1:], func(_ int, x string) string { return x + ">" + c.goose })
	},
	// Each is not heard by one other.
	"one-way": func(c *cast) string {
		all := c.all()
		return links(all, func(i int, x string) string { return x + ">" + all[(i+2)%len(all)] })
	},
	// One duck alone reaches everybody.
	"star": func(c *cast) string {
		hub := c.voters[0]
		return links(slices.Concat([]string{c.goose}, c.voters[1:], c.rest), func(_ int, x string) string { return hub + "-" + x })
	},
	// Each reaches its neighbours only, and the goose is at the end.
	"chain": func(c *cast) string {
		all := c.all()
		return links(all[1:], func(i int, x string) string { return all[i] + "-" + x })
	},
	// The goose and a voter lose each other, again and again.
	flapping: func(c *cast) string { return c.goose + ">" + c.voters[0] + "," + c.voters[0] + ">" + c.goose },
}

// flapping is the shape that comes and goes.
const flapping = "flapping"

// fewest is how many voters every shape has room for.
const fewest = 3

func shapeNames() []string { return slices.Sorted(maps.Keys(shapes)) }

func links(names []string, link func(i int, name string) string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = link(i, name)
	}
	return strings.Join(all, ",")
}
