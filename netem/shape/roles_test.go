package shape

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// majorities returns the voters that reach a majority both ways.
func majorities(s Shape, voters []string) (able []string) {
	for _, v := range voters {
		n := 0
		for _, u := range voters {
			if v == u || s.Passes(v, u) && s.Passes(u, v) {
				n++
			}
		}
		if n > len(voters)/2 {
			able = append(able, v)
		}
	}
	return able
}

func TestRolesAreWhatTheirNamesSay(t *testing.T) {
	for _, c := range []agentsByRole{
		{"a", []string{"b", "c"}, nil},
		{"a", []string{"b", "c"}, []string{"d"}},
		{"c", []string{"a", "d", "b", "e"}, nil},
		{"a", []string{"b", "c", "d", "e"}, []string{"f", "g"}},
		{"a", []string{"b", "c", "d", "e", "f", "g"}, nil},
	} {
		voters := append([]string{c.goose}, c.voters...)
		for _, name := range Roles() {
			s, err := ByRole(name, c.goose, voters, c.all())
			require.NoError(t, err, name)
			able := majorities(s, voters)
			keeps := slices.Contains(able, c.goose)
			what := name + " " + s.String()
			switch name {
			case "no-majority":
				require.Empty(t, able, what)
			case "minority", "goose-alone", "goose-mute", "goose-deaf":
				require.NotEmpty(t, able, what)
				require.False(t, keeps, what)
			case "majority":
				require.True(t, keeps, what)
			case "star":
				if len(voters) > 3 {
					require.Equal(t, []string{c.voters[0]}, able, what)
				}
			case "chain", "one-way":
				require.NotEqual(t, voters, s.Named()[:0], what)
			default:
				require.Fail(t, "an untested shape", name)
			}
		}
	}
}

func TestRolesNeedSomebodyToPlayThem(t *testing.T) {
	names := []string{"a", "b", "c"}
	_, err := ByRole("minority", "", names, names)
	require.EqualError(t, err, "there is no goose")
	_, err = ByRole("minority", "c", names[:2], names)
	require.EqualError(t, err, "there is no goose", "one that is no voter is none")
	_, err = ByRole("minority", "a", names[:2], names)
	require.EqualError(t, err, "there are 2 voters")
	s, err := ByRole("a/b", "", nil, nil)
	require.NoError(t, err)
	require.False(t, s.Passes("a", "b"))
}

func TestFlapCutsWhatChanceChooses(t *testing.T) {
	n := 0
	s := Flap([]string{"a", "b", "c"}, func() bool { n++; return n == 2 })
	require.Equal(t, 6, n)
	again, err := Parse(s.String())
	require.NoError(t, err)
	require.Equal(t, again, s)
	require.False(t, s.Passes("a", "c"))
	require.True(t, s.Passes("c", "a"))
}
