package check

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountNamesOneOrMore(t *testing.T) {
	require.Equal(t, "1 gap, 0 gaps, 2 processes", Count(1, "gap")+", "+Count(0, "gap")+", "+Count(2, "process"))
}

func TestEachPromiseHasItsVerdict(t *testing.T) {
	for i, v := range Verdicts(map[string]int{"P3": 2}) {
		want := "kept"
		switch {
		case v.ID == "P3":
			want = "BROKEN 2 times"
		case !v.Seen:
			want = "not checked here"
		}
		require.Equal(t, want, v.Word(), v.ID)
		require.Equal(t, byte('1'+i), v.ID[1])
	}
	require.Contains(t, Kept(nil), "P1  kept             never two geese in one term\n")
}
