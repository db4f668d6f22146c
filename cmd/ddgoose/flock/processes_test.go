package flock

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// realBinary is ddgoose itself.
var realBinary apitest.Binary

// statuses asks the named agents.
func (r *running) statuses(t *testing.T, names ...string) (all []api.Status) {
	for _, name := range names {
		s, err := client.New(filepath.Join(r.dir, name+".sock")).Status(t.Context())
		if err != nil {
			return nil
		}
		all = append(all, s)
	}
	return all
}

// agreed waits until the named agents name one goose among them, by one token
// above after, and gives it.
func (r *running) agreed(t *testing.T, after uint64, names ...string) (goose string, token uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		all := r.statuses(t, names...)
		for _, s := range all {
			if s.Goose == nil || s.Token <= after || s.Token != all[0].Token || !slices.Contains(names, s.Goose.Name) {
				return false
			}
			goose, token = s.Goose.Name, s.Token
		}
		return len(all) > 0
	}, soon, 20*time.Millisecond)
	return goose, token
}

// TestProcessesOfAFlock takes real processes through what a flock is for.
func TestProcessesOfAFlock(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	r := startDriver(t, RunOptions{Options: Options{Binary: realBinary.Path(t), Dir: shortDir(t), Agents: len(all)}})

	// Started together from one seed: one goose, five voters.
	goose, token := r.agreed(t, 0, all...)
	require.Eventually(t, func() bool {
		statuses := r.statuses(t, all...)
		return len(statuses) > 0 && !slices.ContainsFunc(statuses, func(s api.Status) bool { return len(s.Config.Voters) != 5 || s.Alive != 5 })
	}, soon, 20*time.Millisecond)

	// The key is the environment's, which all have.
	keys, err := client.New(filepath.Join(r.dir, "a.sock")).Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys.Keys, 1)
	require.ElementsMatch(t, all, keys.Keys[0].Sealing)

	// kill -9 of the goose: the others elect another; the dead one comes back.
	require.NoError(t, r.Kill(t.Context(), goose))
	rest := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == goose })
	_, token = r.agreed(t, token, rest...)
	require.NoError(t, r.Start(t.Context(), goose))
	goose, token = r.agreed(t, token-1, all...)

	// Two are cut off, the goose among them: three elect another, and the two have none.
	minority := []string{goose, rest[0]}
	if goose == rest[0] {
		minority[1] = rest[1]
	}
	majority := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(minority, n) })
	require.NoError(t, r.Partition(t.Context(), minority[0]+","+minority[1]+"/"+majority[0]+","+majority[1]+","+majority[2]))
	_, token = r.agreed(t, token, majority...)
	require.Eventually(t, func() bool {
		statuses := r.statuses(t, minority...)
		return len(statuses) > 0 && !slices.ContainsFunc(statuses, func(s api.Status) bool { return s.Goose != nil || s.Role == api.RoleGoose })
	}, soon, 20*time.Millisecond)

	// Healed: all follow one again.
	require.NoError(t, r.Heal(t.Context()))
	r.agreed(t, token-1, all...)
	require.NoError(t, r.stop())
	for _, name := range all {
		s, err := client.New(filepath.Join(r.dir, name+".sock")).Status(t.Context())
		require.ErrorIs(t, err, client.ErrNotRunning, "%s: %+v", name, s)
	}
}
