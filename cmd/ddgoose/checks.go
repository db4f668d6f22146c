package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"duckduckgoose/agent/health"
)

// checksFlag reads the checks of several elections from a YAML map.
type checksFlag map[string]health.Check

// checkWords is one check in the words of the flags.
type checkWords struct {
	Check    string `yaml:"check"`
	Interval string `yaml:"check-interval,omitempty"`
	Timeout  string `yaml:"check-timeout,omitempty"`
	Rise     int    `yaml:"check-rise,omitempty"`
	Fall     int    `yaml:"check-fall,omitempty"`
}

func (f *checksFlag) Set(text string) error {
	var words map[string]checkWords
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	if err := d.Decode(&words); err != nil {
		return fmt.Errorf("want {NAME: {check: CMD, check-interval: 2s, check-timeout: 1s, check-rise: 2, check-fall: 3}}: %w", err)
	}
	for name, w := range words {
		c := health.Check{Ask: w.Check, Rise: w.Rise, Fall: w.Fall}
		for _, d := range []struct {
			word string
			to   *time.Duration
		}{{w.Interval, &c.Interval}, {w.Timeout, &c.Timeout}} {
			var err error
			if d.word == "" {
				continue
			} else if *d.to, err = time.ParseDuration(d.word); err != nil {
				return fmt.Errorf("election %q: %q is not a duration: want for example 2s or 500ms", name, d.word)
			}
		}
		if *f == nil {
			*f = checksFlag{}
		}
		(*f)[name] = c
	}
	return nil
}

// String shows what was set, so that a reload can tell what has changed.
func (f *checksFlag) String() string {
	var text []byte
	for _, name := range slices.Sorted(maps.Keys(*f)) {
		c := (*f)[name]
		text = fmt.Appendf(text, "%s: %v; ", name, c)
	}
	return string(text)
}

// Type returns the value's name in --help.
func (f *checksFlag) Type() string { return "YAML" }
