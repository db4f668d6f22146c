package soak

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"duckduckgoose/netem/schedule"
)

// DefaultScenario is the built-in scenario, as --print-scenario shows it.
//
//go:embed default.yaml
var DefaultScenario []byte

// Scenario says what happens to the flock. default.yaml explains every field.
type Scenario struct {
	Profile    string                    `yaml:"profile" json:"profile"`
	Every      Duration                  `yaml:"every" json:"every"`
	Down       int                       `yaml:"down" json:"down"`
	Spare      int                       `yaml:"spare" json:"spare"`
	WriteEvery Duration                  `yaml:"write-every" json:"write_every"`
	Slack      Duration                  `yaml:"slack" json:"slack"`
	Heal       Duration                  `yaml:"heal" json:"heal"`
	Faults     map[string]schedule.Fault `yaml:"faults" json:"faults"`
}

// former are older names of faults.
var former = map[string]string{"kill": "crash", "freeze": "suspend", "death": "die", "network": "netem"}

// ParseScenario reads a scenario and reports all its errors at once. Missing fields
// have the values of the default scenario; missing faults do not happen.
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
	for was, is := range former {
		if f, ok := s.Faults[was]; ok {
			s.Faults[is] = f
			delete(s.Faults, was)
		}
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
	words := strings.Join(slices.Sorted(maps.Keys(acts)), ", ")
	for name, f := range s.Faults {
		total += f.Weight
		if _, ok := acts[name]; !ok {
			bad("fault %s: there is no such fault: there are %s", name, words)
		} else if err := f.Check(name); err != nil {
			bad("%w", err)
		}
	}
	if total == 0 {
		bad("faults: want at least one with a weight above 0, of %s", words)
	}
	return errors.Join(faults...)
}

// Duration is a time in Go's notation.
type Duration time.Duration

// UnmarshalText reads text such as 1m30s.
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
