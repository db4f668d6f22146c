package soak

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/shape"
)

// majorities gives the voters that reach a majority both ways.
func majorities(s shape.Shape, voters []string) (able []string) {
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

func TestShapesAreWhatTheirNamesSay(t *testing.T) {
	for _, c := range []cast{
		{"a", []string{"b", "c"}, nil},
		{"a", []string{"b", "c"}, []string{"d"}},
		{"c", []string{"a", "d", "b", "e"}, nil},
		{"a", []string{"b", "c", "d", "e"}, []string{"f", "g"}},
		{"a", []string{"b", "c", "d", "e", "f", "g"}, nil},
	} {
		voters := append([]string{c.goose}, c.voters...)
		for name, make := range shapes {
			text := make(&c)
			s, err := shape.Parse(text)
			require.NoError(t, err, name)
			able := majorities(s, voters)
			keeps := slices.Contains(able, c.goose)
			what := name + " " + text
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
			case "chain", "one-way", flapping:
				require.NotEqual(t, voters, s.Named()[:0], what)
			default:
				require.Fail(t, "an untested shape", name)
			}
		}
	}
}
