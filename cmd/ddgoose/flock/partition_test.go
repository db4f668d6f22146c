package flock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartitionShapes(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	for _, tc := range []struct {
		shape, of string
		out, in   []string
	}{
		{"a,b/c,d,e", "a", []string{"c", "d", "e"}, []string{"c", "d", "e"}},
		{"a,b/c,d", "e", []string{"a", "b", "c", "d"}, []string{"a", "b", "c", "d"}}, // unnamed: alone
		{"a>b", "a", []string{"b"}, nil},
		{"a>b", "b", nil, []string{"a"}},
		{"a>b,c>b", "b", nil, []string{"a", "c"}},
		{"a-b,a-c", "a", []string{"d", "e"}, []string{"d", "e"}},
		{"a-b,a-c", "b", []string{"c", "d", "e"}, []string{"c", "d", "e"}},
	} {
		p, err := ParsePartition(tc.shape)
		require.NoError(t, err, tc.shape)
		out, in := p.Cuts(tc.of, all)
		require.Equal(t, tc.out, out, "%s: out of %s", tc.shape, tc.of)
		require.Equal(t, tc.in, in, "%s: into %s", tc.shape, tc.of)
		require.Equal(t, tc.shape, p.String())
	}
}

func TestPartitionRefusesWhatIsNoShape(t *testing.T) {
	for _, shape := range []string{"", " ", "a,b/c>d", "a>", ">b", "a>a", "a-", "a,,b/c", "a,a/b", "a>b,c"} {
		_, err := ParsePartition(shape)
		require.ErrorContains(t, err, "want groups", "%q", shape)
	}
}
