package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"duckduckgoose/agent/api"
)

// memberFilter chooses members. A nil field matches all.
type memberFilter struct {
	name, state, role *regexp.Regexp
	tags              []tagFilter
	voters            bool
}

// tagFilter matches members that have a tag whose value matches.
type tagFilter struct {
	key   string
	value *regexp.Regexp
}

// flags adds one flag for each filter.
func (f *memberFilter) flags(set *pflag.FlagSet) {
	flagVar(set, &f.name, "name", "", "RE", "only those whose whole name matches this regular expression", wholly)
	flagVar(set, &f.state, "state", "", "RE", "only those in such a state, as 'alive|suspect'", wholly)
	flagVar(set, &f.role, "role", "", "RE", "only goose, or duck", wholly)
	set.Var(&listFlag{kind: "K[=RE]", add: f.addTag}, "tag", "only those with tag K whose whole value matches; repeatable: with all of them")
	boolFlag(set, &f.voters, "voters", "only voters")
}

// wholly reads a regular expression that a text must match from end to end.
func wholly(word string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(word); err != nil {
		return nil, fmt.Errorf("want a regular expression, as 'web-.*': %w", err)
	}
	return regexp.MustCompile(`^(?:` + word + `)$`), nil
}

func (f *memberFilter) addTag(word string) error {
	key, value, given := strings.Cut(word, "=")
	if key == "" {
		return fmt.Errorf("want KEY or KEY=REGEXP, as rack=7.*")
	}
	if !given {
		value = ".*"
	}
	re, err := wholly(value)
	if err == nil {
		f.tags = append(f.tags, tagFilter{key, re})
	}
	return err
}

// of returns the members that match all filters.
func (f *memberFilter) of(ms []api.Member) []api.Member {
	return slices.DeleteFunc(append([]api.Member{}, ms...), func(m api.Member) bool { return !f.lets(m) }) // JSON has [] of none
}

func (f *memberFilter) lets(m api.Member) bool {
	if !matches(f.name, m.Name) || !matches(f.state, m.State) || !matches(f.role, m.Role) {
		return false
	}
	for _, t := range f.tags {
		if v, ok := m.Tags[t.key]; !ok || !t.value.MatchString(v) {
			return false
		}
	}
	return !f.voters || m.Voter
}

func matches(re *regexp.Regexp, text string) bool { return re == nil || re.MatchString(text) }
