package deploy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

// newFlock starts agents with --http that found a flock together, and waits until all vote.
func newFlock(t *testing.T, agents int) *flock.Flock {
	t.Helper()
	f, err := flock.Prepare(flock.Options{
		Binary: binary(t), Dir: filepath.Join(shortDir(t), "f"), Agents: agents, HTTPBase: freePorts(t, agents),
	})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	require.NoError(t, f.StartAll())
	for _, name := range f.Names() {
		until(t, f, name, "all vote", func(s api.Status) bool { return len(s.Config.Voters) == agents && s.Goose != nil })
	}
	return f
}

// freePorts returns the first of n ports that are free one after the other, below
// those that the kernel gives away.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	base := 0
	apitest.Eventually(t, func() bool {
		base = 11000 + rand.IntN(20000)
		for port := base; port < base+n; port++ {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return false
			}
			defer ln.Close()
		}
		return true
	}, "%d free ports in a row", n)
	return base
}

func agent(t *testing.T, f *flock.Flock, name string) *flock.Agent {
	t.Helper()
	a, err := f.Agent(name)
	require.NoError(t, err)
	return a
}

// until waits until an agent's status is so.
func until(t *testing.T, f *flock.Flock, name, what string, is func(api.Status) bool) (s api.Status) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		var err error
		s, err = agent(t, f, name).Client().Status(ctx)
		return err == nil && is(s)
	}, "%s: %s: %+v", name, what, &s)
	return s
}

// gooseOf waits until all that run name the same goose, above a token.
func gooseOf(t *testing.T, f *flock.Flock, above uint64) (goose string, token uint64) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		seen := map[uint64]bool{}
		for _, a := range f.Agents() {
			if !a.Running() {
				continue
			}
			s := until(t, f, a.Name, "answers", func(api.Status) bool { return true })
			if s.Goose == nil || s.Token <= above {
				return false
			}
			seen[s.Token], goose, token = true, s.Goose.Name, s.Token
		}
		return len(seen) == 1
	}, "one goose for all")
	return goose, token
}
