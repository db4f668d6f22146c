package soak

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"duckduckgoose/netem"
)

// DefaultScenario is the built-in scenario, as --print-scenario shows it.
//
//go:embed default.yaml
var DefaultScenario []byte

// Scenario says what happens to the flock. default.yaml explains every field.
type Scenario struct {
	Profile    string         `yaml:"profile" json:"profile"`
	Every      Duration       `yaml:"every" json:"every"`
	Down       int            `yaml:"down" json:"down"`
	Spare      int            `yaml:"spare" json:"spare"`
	WriteEvery Duration       `yaml:"write-every" json:"write_every"`
	Slack      Duration       `yaml:"slack" json:"slack"`
	Heal       Duration       `yaml:"heal" json:"heal"`
	Faults     map[Kind]Fault `yaml:"faults" json:"faults"`
}

// Kind is a kind of fault.
type Kind string

// The kinds of fault.
const (
	Kill        Kind = "kill"
	Pause       Kind = "pause"
	Freeze      Kind = "freeze"
	Stop        Kind = "stop"
	Death       Kind = "death"
	Leave       Kind = "leave"
	Wipe        Kind = "wipe"
	StepDown    Kind = "step-down"
	PauseWriter Kind = "pause-writer"
	KillWriter  Kind = "kill-writer"
	Partition   Kind = "partition"
	Network     Kind = "network"
)

var kinds = []Kind{Kill, Pause, Freeze, Stop, Death, Leave, Wipe, StepDown, PauseWriter, KillWriter, Partition, Network}

// Fault says how often a kind of fault happens, and how.
type Fault struct {
	Weight int      `yaml:"weight" json:"weight"`
	For    Range    `yaml:"for,omitempty" json:"for"`
	Goose  Percent  `yaml:"goose,omitempty" json:"goose,omitempty"`
	Shapes []string `yaml:"shapes,omitempty" json:"shapes,omitempty"`
	Rules  []string `yaml:"rules,omitempty" json:"rules,omitempty"`
}

// ParseScenario reads a scenario, and reports every fault of it at once. What
// it leaves out is as in the default, but faults are only those it names.
func ParseScenario(text []byte) (*Scenario, error) {
	s := &Scenario{}
	if !bytes.Equal(text, DefaultScenario) {
		base, err := ParseScenario(DefaultScenario)
		if err != nil {
			return nil, err
		}
		*s = *base
		s.Faults = nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return s, s.validate()
}

func (s *Scenario) validate() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("scenario: "+format, args...))
	}
	if !slices.Contains([]string{"local", "lan", "wan"}, s.Profile) {
		bad("profile %q: want local, lan or wan", s.Profile)
	}
	for name, d := range map[string]Duration{"every": s.Every, "write-every": s.WriteEvery, "heal": s.Heal} {
		if d <= 0 {
			bad("%s %v: want a time above 0s", name, time.Duration(d))
		}
	}
	if s.Slack < 0 {
		bad("slack %v: want 0s or more", time.Duration(s.Slack))
	}
	if s.Down < 0 || s.Spare < 0 {
		bad("down %d, spare %d: want 0 or more", s.Down, s.Spare)
	}
	total := 0
	for kind, f := range s.Faults {
		total += f.Weight
		for _, err := range f.validate(kind) {
			bad("fault %s: %w", kind, err)
		}
	}
	if total == 0 {
		bad("faults: want at least one with a weight above 0, of %s", join(kinds))
	}
	return errors.Join(faults...)
}

func (f *Fault) validate(kind Kind) (faults []error) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !slices.Contains(kinds, kind) {
		bad("there is no such fault: there are %s", join(kinds))
	}
	if f.Weight < 0 {
		bad("weight %d: want 0 or more", f.Weight)
	}
	lasts := !slices.Contains([]Kind{StepDown, KillWriter}, kind)
	if lasts && f.For.Most <= 0 {
		bad("for: want how long it lasts, as 1s..5s")
	}
	if kind == Partition && len(f.Shapes) == 0 {
		bad("shapes: want at least one of %s", join(shapeNames()))
	}
	for _, name := range f.Shapes {
		if shapes[name] == nil {
			bad("shape %q: want one of %s", name, join(shapeNames()))
		}
	}
	if kind == Network && len(f.Rules) == 0 {
		bad(`rules: want at least one, as "*: loss 10%%"`)
	}
	for _, rules := range f.Rules {
		if _, err := netem.Parse(rules); err != nil {
			bad("rules: %w", err)
		}
	}
	return faults
}

func join[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// Duration is a time in Go's words.
type Duration time.Duration

// UnmarshalText reads 1m30s.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q: want a time, as 500ms or 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Range is any time between two, both included.
type Range struct{ Least, Most time.Duration }

// UnmarshalText reads 1s..5s, or 2s for always the same.
func (r *Range) UnmarshalText(text []byte) error {
	least, most, both := strings.Cut(string(text), "..")
	if !both {
		most = least
	}
	var a, b Duration
	if err := errors.Join(a.UnmarshalText([]byte(least)), b.UnmarshalText([]byte(most))); err != nil {
		return fmt.Errorf("%q: want a time or two, as 1s..5s", text)
	}
	if a < 0 || b < a {
		return fmt.Errorf("%q: want the shorter time first, as 1s..5s", text)
	}
	r.Least, r.Most = time.Duration(a), time.Duration(b)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r Range) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%v..%v", r.Least, r.Most), nil
}

// IsZero tells that no time was given.
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
