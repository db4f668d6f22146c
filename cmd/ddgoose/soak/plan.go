package soak

import (
	"math/rand/v2"
	"slices"
	"time"
)

// plan draws the faults of a run from its seed: the same seed gives the same
// faults at the same times. Whom they strike depends on who is the goose then.
type plan struct {
	s    *Scenario
	dice *rand.Rand
	deck []Kind // each as often as its weight
}

// planned is one fault of a plan.
type planned struct {
	after time.Duration // the one before
	kind  Kind
	lasts time.Duration
	goose bool
	pick  pick
	shape string
	rules string
}

// pick chooses among things that are not known when it is drawn.
type pick uint64

// of gives a number below n.
func (p pick) of(n int) int { return int(uint64(p) % uint64(n)) }

// shuffled gives names in an order that p decides.
func (p pick) shuffled(names []string) []string {
	names = slices.Clone(names)
	rand.New(rand.NewPCG(uint64(p), 0)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

func newPlan(s *Scenario, seed uint64) *plan {
	p := &plan{s: s, dice: rand.New(rand.NewPCG(seed, 0x600e5e))}
	for _, kind := range kinds {
		for range s.Faults[kind].Weight {
			p.deck = append(p.deck, kind)
		}
	}
	return p
}

func (p *plan) next() planned {
	// Every fault takes the same draws, whatever becomes of it.
	after := time.Duration(p.dice.ExpFloat64() * float64(p.s.Every))
	kind := p.deck[p.dice.IntN(len(p.deck))]
	lasts, goose := p.dice.Float64(), p.dice.Float64()
	f := p.s.Faults[kind]
	next := planned{
		after: min(after, 5*time.Duration(p.s.Every)), kind: kind,
		lasts: f.For.Least + time.Duration(lasts*float64(f.For.Most-f.For.Least)),
		goose: 100*goose < float64(f.Goose), pick: pick(p.dice.Uint64()),
	}
	choice := int(p.dice.Uint32())
	if len(f.Shapes) > 0 {
		next.shape = f.Shapes[choice%len(f.Shapes)]
	}
	if len(f.Rules) > 0 {
		next.rules = f.Rules[choice%len(f.Rules)]
	}
	return next
}
