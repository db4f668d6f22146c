package netem

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRulesParseAsTheTableSays(t *testing.T) {
	golden(t, "testdata/parse.txt", func(in string) string {
		r, err := Parse(in)
		if err != nil {
			return "error: " + err.Error()
		}
		again, err := Parse(r.String())
		require.NoError(t, err)
		require.True(t, again == r, "%q prints as %q", in, r)
		if r.IsZero() {
			return "(none)"
		}
		return r.String()
	})
}

func TestErrorsStayOnOneBearableLine(t *testing.T) {
	_, err := Parse("a: loss\x00\n" + strings.Repeat("x", 5000))
	require.ErrorContains(t, err, `rules: word 2 "loss\x00": want cut, loss`)
	_, err = Parse("a: " + strings.Repeat("x", 5000))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 300)
	require.NotContains(t, err.Error(), "\n")
}

func TestThenPutsTheFirstRulesFirst(t *testing.T) {
	a, b := mustParse(t, "a: cut"), mustParse(t, "*: loss 1%")
	require.Equal(t, mustParse(t, "a: cut; *: loss 1%"), a.Then(b))
	require.Equal(t, a, a.Then(Rules{}))
	require.Equal(t, b, Rules{}.Then(b))
}

func mustParse(t testing.TB, s string) Rules {
	t.Helper()
	r, err := Parse(s)
	require.NoError(t, err)
	return r
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "a: cut", "out b: cut; in c,d: loss 30%", "::1,[::1]:3825,10.0.0.1: loss gemodel 1% 10% 70% 0.1%",
		"*: delay 100ms 10ms 25% distribution normal duplicate 1% reorder 25% corrupt 0.1% rate 1mbit",
		"both x.y_z-1: rate 64kbps", "::: cut", "a: rate 1.234567891gbps", "a: rate 99.999999999gbit", "*: delay 1h", "a: loss 0.000001%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "rules: "), err)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := Parse(r.String())
		require.NoError(t, err)
		require.True(t, again == r, "%q prints as %q, which prints as %q", s, r, again)
		require.Equal(t, strings.TrimSpace(s) == "", r.IsZero())
		// Whatever parses can be applied.
		e := New(1)
		e.Set(r)
		for dir := range In + 1 {
			v := e.Packet(0, dir, Peer{Name: "a"}, 100)
			require.True(t, v.Delay >= 0 && v.DuplicateDelay >= 0)
		}
		hold, n := e.StreamWrite(0, Peer{Name: "a"}, 5000, true)
		require.True(t, hold >= 0 && n > 0 && n <= 5000)
	})
}

func TestWordsThatMatchNobodyAreNamed(t *testing.T) {
	rules, err := Parse("out b,x: cut; in 10.0.0.2,10.0.0.9:3825,x: loss 1%; *: delay 1ms")
	require.NoError(t, err)
	peers := []Peer{{Name: "b", Addr: netip.MustParseAddrPort("10.0.0.2:3825")}}
	require.Equal(t, []string{"x", "10.0.0.9:3825"}, rules.Unmatched(peers))
	require.Empty(t, Rules{}.Unmatched(nil))
}
