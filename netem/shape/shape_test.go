package shape_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/shape"
)

func TestShapesCutWhatTheySay(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for _, tt := range []struct {
		text    string
		of      string
		out, in []string
	}{
		{"a,b/c,d", "a", []string{"c", "d"}, []string{"c", "d"}},
		{"a, b / c", "c", []string{"a", "b", "d"}, []string{"a", "b", "d"}},
		{"a,b", "d", []string{"a", "b", "c"}, []string{"a", "b", "c"}},
		{"a>b,c>b", "b", nil, []string{"a", "c"}},
		{"a>b,c>b", "a", []string{"b"}, nil},
		{"a-b,a-c", "a", []string{"d"}, []string{"d"}},
		{"a-b,a-c", "b", []string{"c", "d"}, []string{"c", "d"}},
	} {
		s, err := shape.Parse(tt.text)
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.text, s.String())
		out, in := s.Cuts(tt.of, all)
		require.Equal(t, tt.out, out, tt.text)
		require.Equal(t, tt.in, in, tt.text)
	}
	out, in := shape.Shape{}.Cuts("a", all)
	require.Empty(t, out)
	require.Empty(t, in)
}

func TestShapesNameAgents(t *testing.T) {
	for text, want := range map[string][]string{
		"b,a/c": {"a", "b", "c"}, "b>a,b>c": {"a", "b", "c"}, "a-b": {"a", "b"},
	} {
		s, err := shape.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, s.Named())
	}
}

func TestBadShapesSayWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"":        "it is empty",
		"a/b>c":   "it mixes kinds",
		"a,,b/c":  "a name is missing",
		"a,b/a":   "a is named twice",
		"a>":      `"a>" is not two names with ">" between`,
		"a-b,c":   `"c" is not two names with "-" between`,
		"a-b,c-c": `"c-c" is not two names`,
	} {
		_, err := shape.Parse(text)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, `want groups "a,b/c,d,e"`)
	}
}
