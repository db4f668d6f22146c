// Package schedule parses and prints schedules of faults, and draws them from a seed.
package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Op is one line of a schedule: what happens to which agent, and when.
//
//	at T VERB [WHO] [WHAT] [for D]
//
// WHO is an agent's name, goose (the goose at that time), duck (the first running
// voter that is not the goose), or * for all. [Verbs] has the arguments of verbs.
type Op struct {
	At   time.Duration
	Verb string
	Who  string
	What string
	For  time.Duration // 0: not given
}

// String prints the line that Parse reads.
func (o Op) String() string {
	s := fmt.Sprintf("at %v %s", o.At, o.Verb)
	for _, word := range [...]string{o.Who, o.What} {
		if word != "" {
			s += " " + word
		}
	}
	if o.For > 0 {
		s += fmt.Sprintf(" for %v", o.For)
	}
	return s
}

// Verb describes a verb of the schedules.
type Verb struct {
	Name  string
	Takes string // its arguments, as in a synopsis
	Does  string
	// Drawn: random schedules use it, and --faults may name it.
	Drawn bool

	Who bool // it is about an agent

	// Real: it works with real processes or whole agents only.
	Real  bool
	goose bool // only the goose does it
	wave  int  // of [Draw]: a later verb has a later wave, so that older seeds keep their faults
	check func(*Op) error
}

// synopsis returns the form of a line with this verb.
func (v *Verb) synopsis() string { return strings.TrimSpace("at T " + v.Name + " " + v.Takes) }

// Named returns a verb by its name.
func Named(name string) (*Verb, bool) {
	i := slices.IndexFunc(verbs, func(v Verb) bool { return v.Name == name })
	if i < 0 {
		return nil, false
	}
	return &verbs[i], true
}

// Verbs lists the verbs that the simulator carries out.
func Verbs() []Verb {
	return slices.DeleteFunc(slices.Clone(verbs), func(v Verb) bool { return v.Real })
}

// Faults names the verbs that random schedules use.
func Faults() (names []string) {
	for _, v := range verbs {
		if v.Drawn {
			names = append(names, v.Name)
		}
	}
	return names
}

// Parse reads one line of a schedule.
func Parse(text string) (Op, error) {
	words := strings.Fields(text)
	fail := func(format string, args ...any) (Op, error) {
		return Op{}, fmt.Errorf("%q: %s", text, fmt.Sprintf(format, args...))
	}
	if len(words) < 3 || words[0] != "at" {
		return fail("want \"at T VERB ...\", as in \"at 5s crash goose for 2s\"")
	}
	at, err := time.ParseDuration(words[1])
	if err != nil || at < 0 {
		return fail("time %q: want a duration from 0s on, as 5s", words[1])
	}
	verb, ok := Named(words[2])
	if !ok {
		var names []string
		for _, v := range Verbs() {
			names = append(names, v.Name)
		}
		return fail("unknown verb %q: want one of %s", words[2], strings.Join(names, " "))
	}
	op := Op{At: at, Verb: words[2]}
	words = words[3:]
	if n := len(words); n >= 2 && words[n-2] == "for" {
		if op.For, err = time.ParseDuration(words[n-1]); err != nil || op.For <= 0 {
			return fail("for %q: want a duration above 0s", words[n-1])
		}
		words = words[:n-2]
	}
	if verb.Who {
		if len(words) == 0 {
			return fail("nobody is named: want %q", verb.synopsis())
		}
		op.Who, words = words[0], words[1:]
	}
	op.What = strings.Join(words, " ")
	if verb.check != nil {
		if err := verb.check(&op); err != nil {
			return fail("%v: want %q", err, verb.synopsis())
		}
	} else if op.What != "" {
		return fail("%q is one too many: want %q", op.What, verb.synopsis())
	}
	return op, nil
}
