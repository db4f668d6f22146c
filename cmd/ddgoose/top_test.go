package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/top"
)

// seen waits for a picture, and demands of all before it that they name nobody
// twice.
func seen(t *testing.T, n *neighbours, what string, is func(p top.Picture, by map[string]top.Agent) bool) top.Picture {
	t.Helper()
	var p top.Picture
	apitest.Eventually(t, func() bool {
		p, _ = n.Take()
		by := map[string]top.Agent{}
		for _, a := range p.Agents {
			require.NotContains(t, by, a.Name)
			by[a.Name] = a
		}
		return is(p, by)
	}, "%s: %+v", what, &p)
	return p
}

// TestTopShowsWhatOneAgentKnowsOfTheOthers has the socket of a alone at first: one
// machine of a real flock.
func TestTopShowsWhatOneAgentKnowsOfTheOthers(t *testing.T) {
	const bID, cID = "a0000000000000000000000000000000", "c1000000000000000000000000000000"
	a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
	stopA := serveFake(t, a, socket)
	a.Change(func(s *api.Status) {
		s.Config.Voters = append(s.Config.Voters, api.Voter{ID: bID, Name: "b", Priority: 100}, api.Voter{ID: cID, Name: "c", Priority: 100})
	})
	n := watchNeighbours(t.Context(), socket, a.Status())
	t.Cleanup(n.close)
	seen(t, n, "three", func(p top.Picture, by map[string]top.Agent) bool {
		return len(by) == 3 && by["a"].State == top.StateUp && by["b"].State == top.StateFailed && by["c"].State == top.StateUnknown &&
			p.From == "a" && p.Goose().Name == "a"
	})
	require.Nil(t, n.Client("b"))

	// Another agent starts on this machine, and is killed.
	b := apitest.New()
	b.Change(func(s *api.Status) {
		s.Name, s.ID, s.Role, s.Config.Voters = "b", bID, api.RoleDuck, a.Status().Config.Voters
	})
	stopB := serveFake(t, b, filepath.Join(filepath.Dir(socket), "b.sock"))
	seen(t, n, "b is here", func(_ top.Picture, by map[string]top.Agent) bool { return by["b"].State == top.StateUp })
	stopB()
	seen(t, n, "b has gone", func(_ top.Picture, by map[string]top.Agent) bool { return by["b"].State == top.StateSilent })
	for end := time.Now().Add(3 * topRetry); time.Now().Before(end); {
		_, changed := n.Take()
		seen(t, n, "and is listed once", func(_ top.Picture, by map[string]top.Agent) bool { return len(by) == 3 })
		select {
		case <-changed:
		case <-time.After(topRetry / 10):
		}
	}

	// The last one goes: what is left is old, and the screen says so.
	stopA()
	p := seen(t, n, "nobody answers", func(p top.Picture, _ map[string]top.Agent) bool { return p.Trouble != "" })
	require.Contains(t, p.Trouble, socket)
	require.Zero(t, p.Goose())
	serveFake(t, a, socket)
	seen(t, n, "a is back", func(p top.Picture, by map[string]top.Agent) bool {
		return p.Trouble == "" && by["a"].State == top.StateUp
	})
}

func TestTopMeetsNobodyOfAnotherFlock(t *testing.T) {
	a, socket := apitest.New(), filepath.Join(shortDir(t), "a.sock")
	serveFake(t, a, socket)
	for name, change := range map[string]func(*api.Status){
		"other":   func(s *api.Status) { s.FlockID = "d" + s.FlockID[1:] },
		"label":   func(s *api.Status) { s.Flock = "mine" },
		"founder": func(s *api.Status) { s.FlockID = "" },
	} {
		other := apitest.New()
		other.Change(func(s *api.Status) {
			s.Name, s.ID, s.Role = name, name, api.RoleDuck
			change(s)
		})
		serveFake(t, other, filepath.Join(filepath.Dir(socket), name+".sock"))
	}
	n := watchNeighbours(t.Context(), socket, a.Status())
	t.Cleanup(n.close)
	seen(t, n, "the one that may join it", func(_ top.Picture, by map[string]top.Agent) bool { return by["founder"].State == top.StateUp })
	seen(t, n, "and none else", func(_ top.Picture, by map[string]top.Agent) bool { return len(by) == 3 })
	require.Nil(t, n.Client("other"))
	require.Nil(t, n.Client("label"))
}
