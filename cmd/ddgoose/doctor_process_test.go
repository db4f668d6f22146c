package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/keys"
	"duckduckgoose/wire"
)

// TestProcessesOfAFlockAreExaminedAndGetANewKey lets real agents on loopback be
// examined, in health and with a one-way cut, and changes their key meanwhile.
func TestProcessesOfAFlockAreExaminedAndGetANewKey(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	first, next := filepath.Join(dir, "first.key"), filepath.Join(dir, "next.key")
	require.Zero(t, call(t, "keygen", "--out", first).code)
	require.Zero(t, call(t, "keygen", "--out", next).code)
	line, err := os.ReadFile(first)
	require.NoError(t, err)
	var flock []*process
	join := "127.0.0.1:0"
	for i, name := range []string{"a", "b", "c"} {
		file := filepath.Join(dir, name+".key")
		require.NoError(t, os.WriteFile(file, line, 0o600))
		flags := []string{"--expect", "3", "--profile", "wan", "--key-file", file}
		if i > 0 {
			flags = append(flags, "--join", join)
		}
		flock = append(flock, startAgent(t, dir, name, flags...))
		if i == 0 {
			join = flock[0].addr()
		}
	}
	for _, p := range flock {
		p.until("all vote and are alive", func(s api.Status) bool { return len(s.Config.Voters) == 3 && s.Goose != nil && s.Alive == 3 })
	}
	socket := flock[0].socket

	examine := func(wanted string, is func(d *api.Doctor) bool) {
		var d api.Doctor
		var got outcome
		apitest.Eventually(t, func() bool { // a busy machine looks like a bad network
			got = call(t, "doctor", "--json", "--socket", socket)
			d = api.Doctor{}
			return json.Unmarshal([]byte(got.stdout), &d) == nil && is(&d)
		}, "the doctor finds %s; last: %v %+v", wanted, &got, &d)
		require.Equal(t, map[string]int{api.VerdictHealthy: 0, api.VerdictTrouble: 1, api.VerdictCannotTell: 2}[d.Verdict], got.code)
	}
	examine("health", func(d *api.Doctor) bool { return d.Verdict == api.VerdictHealthy && len(d.Paths) == 6 })
	require.Zero(t, call(t, "netem", "set", "out a: cut", "--socket", flock[1].socket).code)
	examine("the cut", func(d *api.Doctor) bool {
		for _, f := range d.Findings {
			if strings.HasPrefix(f.Text, "nothing passes from b to a") {
				return d.Verdict == api.VerdictTrouble && d.CanElect == api.Yes
			}
		}
		return false
	})
	require.Zero(t, call(t, "netem", "clear", "--socket", flock[1].socket).code)

	old, err := keys.ReadFile(first)
	require.NoError(t, err)
	id := wire.KeyID(old[0])
	for _, step := range [][]string{{"install", "--file", next}, {"use", "--file", next}, {"remove", id}} {
		var got outcome
		apitest.Eventually(t, func() bool {
			got = call(t, append(append([]string{"keys"}, step...), "--socket", socket)...)
			return got.code == 0
		}, "keys %v; last: %v", step, &got)
	}
	want, err := keys.ReadFile(next)
	require.NoError(t, err)
	for _, p := range flock {
		kept, err := keys.ReadFile(filepath.Join(dir, p.name+".key"))
		require.NoError(t, err)
		require.Equal(t, want, kept, p.name)
	}
	list := fmt.Sprintf("Key       Seals at  Held by  Missing at\n%s  a b c     a b c    -\n", wire.KeyID(want[0]))
	var got outcome
	apitest.Eventually(t, func() bool { // a busy one may answer late
		got = call(t, "keys", "list", "--socket", socket)
		return got.stdout == list
	}, "all have the new key alone; last: %+v", &got)
}
