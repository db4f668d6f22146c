package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// givenFlag is a flag that remembers the words it was given, so that they can be repeated on
// another command line or at a reload.
type givenFlag interface {
	pflag.Value
	given() []string
}

// textFlag is a flag of one value. The error of parse says which values are valid.
type textFlag[T any] struct {
	to    *T
	text  string
	kind  string
	parse func(string) (T, error)
	words []string
}

var _ givenFlag = (*textFlag[int])(nil)

// Set replaces the value.
func (f *textFlag[T]) Set(s string) error {
	v, err := f.parse(s)
	if err != nil {
		return err
	}
	*f.to, f.text, f.words = v, s, []string{s}
	return nil
}

func (f *textFlag[T]) String() string  { return f.text }
func (f *textFlag[T]) Type() string    { return f.kind }
func (f *textFlag[T]) given() []string { return f.words }

// listFlag is a flag that may be given several times.
type listFlag struct {
	words []string
	kind  string
	add   func(string) error
}

var _ givenFlag = (*listFlag)(nil)

// Set adds to what the flag has.
func (f *listFlag) Set(s string) error {
	if err := f.add(s); err != nil {
		return err
	}
	f.words = append(f.words, s)
	return nil
}

func (f *listFlag) String() string  { return strings.Join(f.words, ",") }
func (f *listFlag) Type() string    { return f.kind }
func (f *listFlag) given() []string { return f.words }

// flagVar adds a flag that parse reads. The name "agents,n" is --agents and -n. An empty
// fallback leaves *to alone.
func flagVar[T any](flags *pflag.FlagSet, to *T, name, fallback, kind, help string, parse func(string) (T, error)) {
	f := &textFlag[T]{to: to, text: fallback, kind: kind, parse: parse}
	if fallback != "" {
		v, err := parse(fallback)
		if err != nil {
			panic(fmt.Sprintf("default of --%s: %v", name, err))
		}
		*to = v
	}
	name, short, _ := strings.Cut(name, ",")
	flags.VarP(f, name, short, help)
}

func stringFlag(flags *pflag.FlagSet, to *string, name, fallback, kind, help string) {
	flagVar(flags, to, name, fallback, kind, help, func(s string) (string, error) { return s, nil })
}

func boolFlag(flags *pflag.FlagSet, to *bool, name, help string) {
	flagVar(flags, to, name, "", "bool", help, func(s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, fmt.Errorf("want true or false")
		}
		return v, nil
	})
	flags.Lookup(name).NoOptDefVal = "true"
}

// durationFlag takes Go's durations above 0.
func durationFlag(flags *pflag.FlagSet, to *time.Duration, name, fallback, help string) {
	flagVar(flags, to, name, fallback, "duration", help, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return 0, fmt.Errorf("want a time above 0 with its unit, as 250ms or 5s")
		}
		return d, nil
	})
}

// timeOf returns a parser of Go's durations of least or more.
func timeOf(least time.Duration, example string) func(string) (time.Duration, error) {
	return func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least {
			return 0, fmt.Errorf("want a time of %v or more with its unit, as %s", least, example)
		}
		return d, nil
	}
}

// leaseFlag takes the length of a lease, or auto.
func leaseFlag(flags *pflag.FlagSet, to *time.Duration, auto *bool, help string) {
	flagVar(flags, to, "lease", "", "duration|auto", help, func(s string) (d time.Duration, err error) {
		if *auto = s == "auto"; *auto {
			return 0, nil
		}
		if d, err = time.ParseDuration(s); err != nil || d <= 0 {
			err = fmt.Errorf("want a time above 0 with its unit, as 250ms or 5s, or auto")
		}
		return d, err
	})
}

func numberFlag[N int | uint8 | uint64](flags *pflag.FlagSet, to *N, name, fallback string, most uint64, help string) {
	rangeFlag(flags, to, name, fallback, 0, most, help)
}

func rangeFlag[N int | uint8 | uint64](flags *pflag.FlagSet, to *N, name, fallback string, least, most uint64, help string) {
	flagVar(flags, to, name, fallback, "N", help, func(s string) (N, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("want a number from %d to %d", least, most)
		}
		return N(n), nil
	})
}

// agentsFlag adds --agents, the number of agents of a flock on this machine.
func agentsFlag(flags *pflag.FlagSet, to *int, fallback string, least, most uint64, note string) {
	rangeFlag(flags, to, "agents,n", fallback, least, most, fmt.Sprintf("run N agents, %d to %d", least, most)+note)
}

func choiceFlag(flags *pflag.FlagSet, to *string, name, fallback, help string, choices ...string) {
	flagVar(flags, to, name, fallback, strings.Join(choices, "|"), help, func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", fmt.Errorf("want one of %s", strings.Join(choices, ", "))
		}
		return s, nil
	})
}

// jsonFlag adds --json, and -o for those who are used to it. more are further
// choices of -o, each with a switch that it turns on.
func jsonFlag(flags *pflag.FlagSet, to *bool, more ...*outputChoice) {
	boolFlag(flags, to, "json", "print JSON, for programs")
	choices := []string{"table", "json"}
	for _, m := range more {
		choices = append(choices, m.name)
	}
	f := &textFlag[string]{to: new(string), kind: strings.Join(choices, "|")}
	f.parse = func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", fmt.Errorf("want one of %s", strings.Join(choices, ", "))
		}
		*to = s == "json"
		for _, m := range more {
			*m.to = s == m.name
		}
		return s, nil
	}
	flags.VarP(f, "output", "o", "how to print the answer; -o json is --json")
}

// outputChoice is one more form in which a command prints its answer.
type outputChoice struct {
	name string
	to   *bool
}
