package schedule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/netem"
	"duckduckgoose/netem/shape"
)

// Fault says how often a verb is drawn, and with which details, for flocks of real
// processes.
type Fault struct {
	Weight int      `yaml:"weight" json:"weight"`
	For    Range    `yaml:"for,omitempty" json:"for"`
	Goose  Percent  `yaml:"goose,omitempty" json:"goose,omitempty"` // how often it strikes the goose
	Shapes []string `yaml:"shapes,omitempty" json:"shapes,omitempty"`
	Rules  []string `yaml:"rules,omitempty" json:"rules,omitempty"`
	Words  []string `yaml:"words,omitempty" json:"words,omitempty"` // of any verb
}

// what returns the details of which one is drawn.
func (f *Fault) what() []string { return slices.Concat(f.Shapes, f.Rules, f.Words) }

// missing says what a fault without details needs.
var missing = map[string]string{
	"partition": "shapes: want at least one of " + strings.Join(shape.Roles(), ", "),
	"netem":     `rules: want at least one, as "*: loss 10%"`,
	"flap":      "words: want at least one time, as 200ms",
}

// Check reports everything that is wrong with a fault.
func (f *Fault) Check(name string) error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("fault "+name+": "+format, args...))
	}
	verb, _ := Named(name)
	if f.Weight < 0 {
		bad("weight %d: want 0 or more", f.Weight)
	}
	if strings.Contains(verb.Takes, "for D") && f.For.Most <= 0 {
		bad("for: want how long it lasts, as 1s..5s")
	}
	if lacks := missing[name]; lacks != "" && len(f.what()) == 0 {
		bad("%s", lacks)
	}
	for _, role := range f.Shapes {
		if !slices.Contains(shape.Roles(), role) {
			bad("shape %q: want one of %s", role, strings.Join(shape.Roles(), ", "))
		}
	}
	for _, word := range f.what() {
		o := Op{Verb: name, What: word, For: f.For.Most}
		if verb.Who {
			o.Who = "*"
		}
		if _, err := Parse(o.String()); err != nil {
			bad("%w", err)
		}
	}
	return errors.Join(faults...)
}

// Mixed draws a schedule of faults by verb, each as often as its weight says.
func Mixed(seed uint64, f Flock, mix map[string]Fault) (ops []Op) {
	var from []string
	for _, verb := range slices.Sorted(maps.Keys(mix)) {
		from = append(from, slices.Repeat([]string{verb}, mix[verb].Weight)...)
	}
	d := netem.NewRandom(seed, netem.Out, "mixed")
	w := drawer{&d, f}
	for at := d.Below(2 * f.Every); at < f.For; at += 1 + d.Below(2*f.Every) {
		verb := w.word(from...)
		o := w.fault(verb, mix[verb])
		o.At = at.Round(time.Millisecond)
		ops = append(ops, o)
	}
	return ops
}

// fault draws one fault. Fault rules are for all agents.
func (w drawer) fault(name string, f Fault) Op {
	o := Op{Verb: name, For: w.Between(f.For.Least, f.For.Most+1).Round(time.Millisecond)}
	switch verb, _ := Named(name); {
	case name == "netem":
		o.Who = "*"
	case verb.goose, verb.Who && Percent(w.Uint64()%100) < f.Goose:
		o.Who = "goose"
	case verb.Who:
		o.Who = w.name()
	}
	if what := f.what(); len(what) > 0 {
		o.What = w.word(what...)
	}
	return o
}

// Range is the durations from Least to Most.
type Range struct{ Least, Most time.Duration }

// UnmarshalText reads 1s..5s, or 2s for always the same.
func (r *Range) UnmarshalText(text []byte) error {
	least, most, both := strings.Cut(string(text), "..")
	if !both {
		most = least
	}
	a, errA := time.ParseDuration(least)
	b, errB := time.ParseDuration(most)
	switch {
	case errA != nil || errB != nil:
		return fmt.Errorf("%q: want a time or two, as 1s..5s", text)
	case a < 0 || b < a:
		return fmt.Errorf("%q: want the shorter time first, as 1s..5s", text)
	}
	r.Least, r.Most = a, b
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r Range) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%v..%v", r.Least, r.Most), nil
}

// IsZero reports whether no time was given.
func (r Range) IsZero() bool { return r == Range{} }

// Percent is a share of 0 to 100.
type Percent float64

// UnmarshalText reads 60%.
func (p *Percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !strings.HasSuffix(string(text), "%") || v < 0 || v > 100 {
		return fmt.Errorf("%q: want a share, as 60%%", text)
	}
	*p = Percent(v)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p Percent) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v%%", float64(p)), nil }
