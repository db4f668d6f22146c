package hooks

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// status is an agent x that knows a goose of this name and token.
func status(role, goose string, token uint64) api.Status {
	s := api.Status{ID: "x", Name: "x", Role: role, Token: token, Alive: 1}
	if goose != "" {
		s.Goose = &api.Goose{ID: goose, Name: goose}
	}
	return s
}

func inWords(events []Event) (words []string) {
	for _, e := range events {
		word := fmt.Sprintf("%d %s", e.Seq, e.Kind)
		if m := e.Member; m != nil {
			word += fmt.Sprintf(" %s %s>%s", m.ID, e.Was, m.State)
		}
		words = append(words, word)
	}
	return words
}

func TestRoleAndGooseGiveEvents(t *testing.T) {
	var tr tracker
	for _, c := range []struct {
		what   string
		status api.Status
		want   []string
	}{
		{"not begun", api.Status{ID: "x", Role: api.RoleDuck}, nil},
		{"at the start it is a duck", status(api.RoleDuck, "", 0), []string{"1 duck"}},
		{"a candidate is a duck", status(api.RoleCandidate, "", 0), nil},
		{"goose", status(api.RoleGoose, "x", 3), []string{"2 goose", "3 change"}},
		{"a renewal is nothing", status(api.RoleGoose, "x", 3), nil},
		{"a lapse", status(api.RoleDuck, "", 0), []string{"4 duck", "5 change"}},
		{"earned back in the same period", status(api.RoleGoose, "x", 3), []string{"6 goose", "7 change"}},
		{"what lies between was not seen", status(api.RoleGoose, "x", 5), []string{"8 goose", "9 change"}},
		{"another", status(api.RoleDuck, "y", 6), []string{"10 duck", "11 change"}},
		{"another token", status(api.RoleDuck, "y", 7), []string{"12 change"}},
		{"dead", status(api.RoleDead, "", 0), []string{"13 change"}},
	} {
		require.Equal(t, c.want, inWords(tr.see(c.status, nil)), c.what)
	}
}

func TestAnAgentThatWasNeverADuckTellsThatItIsTheGoose(t *testing.T) {
	var tr tracker
	require.Equal(t, []string{"1 goose", "2 change"}, inWords(tr.see(status(api.RoleGoose, "x", 3), nil)))
}

func TestMembersGiveEventsButThisOne(t *testing.T) {
	var tr tracker
	duck := status(api.RoleDuck, "", 0)
	self := api.Member{ID: "x", State: "alive"}
	y, z := api.Member{ID: "y", State: "alive"}, api.Member{ID: "z", State: "alive", Tags: map[string]string{"a": "b"}}
	rtt := 0.5
	see := func(ms ...api.Member) []string { return inWords(tr.see(duck, append(ms, self))) }
	require.Equal(t, []string{"1 duck", "2 member y >alive"}, see(y))
	y.RTTMS, y.Role = &rtt, "goose"
	require.Equal(t, []string{"3 member z >alive"}, see(y, z))
	y.State = "failed"
	require.Equal(t, []string{"4 member y alive>failed"}, see(y, z))
	z.Tags = map[string]string{"a": "c"}
	require.Equal(t, []string{"5 member z alive>alive"}, see(y, z))
	z.Voter = true
	require.Equal(t, []string{"6 member z alive>alive"}, see(y, z))
	require.Empty(t, see(z), "one that is listed no more was failed for long")
	y.State = "alive"
	require.Equal(t, []string{"7 member y >alive"}, see(y, z))
}

func TestPresentStateIsForNewHooksAlone(t *testing.T) {
	var tr tracker
	hooks := []Hook{{Goose, "a"}}
	require.Empty(t, tr.present(hooks), "nothing is known yet")
	tr.see(status(api.RoleGoose, "x", 3), []api.Member{{ID: "y", State: "alive"}})
	got := tr.present(hooks)
	require.Equal(t, []string{"4 goose", "5 change", "6 member y >alive"}, inWords(got))
	for _, e := range got {
		require.Equal(t, hooks, e.only)
	}
	require.Empty(t, tr.present(nil))
}
