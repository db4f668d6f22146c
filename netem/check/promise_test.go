package check

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
