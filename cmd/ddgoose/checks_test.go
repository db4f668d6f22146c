package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

func TestBadChecksAreRefusedWithWhatWouldBeRight(t *testing.T) {
	for words, fault := range map[string]string{
		"{backup: {chek: df}}": "field chek not found",
		"backup":               "want {NAME: {check: CMD",
		"{backup: {check: df, check-interval: ten}}": `election "backup": "ten" is not a duration: want for example 2s or 500ms`,
	} {
		_, err := settingsOf(t, nil, map[string]string{"DDGOOSE_CHECKS": words})
		require.ErrorContains(t, err, fault, words)
	}
	s, err := settingsOf(t, []string{"--checks", "{backup: {check: df}}"}, nil)
	require.NoError(t, err)
	_, err = s.config()
	require.ErrorContains(t, err, `checks: election "backup" is not in this agent's --election list`)
	s, err = settingsOf(t, []string{"--check-fall", "5"}, nil)
	require.NoError(t, err)
	_, err = s.config()
	require.ErrorContains(t, err, `check "": want a command`)
}

// A check that fails on one machine moves the goose to another, and back when both
// others fail; none leads while all fail.
func TestProcessesOfAFlockWhoseWorkIsIll(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	check := func(name string) []string {
		return []string{"--expect", "3", "--check", "test ! -e " + dir + "/" + name + ".ill", "--check-interval", "200ms"}
	}
	a := startAgent(t, dir, "a", check("a")...)
	flock := []*process{a}
	for _, name := range []string{"b", "c"} {
		flock = append(flock, startAgent(t, dir, name, append(check(name), "--join", a.addr())...))
	}
	leads := func() string { // "": none, perhaps for a moment that a busy machine stands still
		for _, p := range flock {
			if call(t, "is-goose", "--socket", p.socket).code == 0 {
				return p.name
			}
		}
		return ""
	}
	var ill []string
	for range flock {
		var goose string
		apitest.Eventually(t, func() bool { goose = leads(); return goose != "" && !slices.Contains(ill, goose) }, "a goose other than %v", &ill)
		ill = append(ill, goose)
		falls(t, dir, goose)
	}
	apitest.Eventually(t, func() bool { return leads() == "" }, "no goose")
	apitest.Eventually(t, func() bool {
		got := call(t, "why", "--socket", a.socket)
		return strings.Contains(got.stdout, "nobody may lead: the check of every voter that answers fails")
	}, "why tells")
	require.NoError(t, os.Remove(dir+"/"+ill[1]+".ill"))
	apitest.Eventually(t, func() bool { return leads() == ill[1] }, "the one that is well leads")
}

func falls(t *testing.T, dir, name string) {
	t.Helper()
	require.NoError(t, os.WriteFile(dir+"/"+name+".ill", nil, 0o600))
}
