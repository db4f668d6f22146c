package top

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func names(rows []*Agent) (s string) {
	for _, a := range rows {
		s += a.Name
	}
	return s
}

func TestSorting(t *testing.T) {
	m := newModel()
	for _, tt := range []struct{ order, rows, reversed string }{
		{"name", "abcde", "edcba"},
		{"role", "badce", "ecdab"},
		{"round trip", "dabce", "ecbad"},
		{"age", "ceabd", "dbaec"},
		{"state", "abdce", "ecdba"},
	} {
		require.Equal(t, tt.order, orders[m.order].name)
		require.Equal(t, tt.rows, names(m.rows()), tt.order)
		press(m, "r")
		require.Equal(t, tt.reversed, names(m.rows()), tt.order)
		press(m, "r", "s")
	}
	require.Zero(t, m.order, "and around")
	press(m, "S")
	require.Equal(t, "state", orders[m.order].name)
}

func TestSelectionStaysWithItsAgent(t *testing.T) {
	m := newModel()
	at := func() string { return m.rows()[m.at(m.rows())].Name }
	require.Equal(t, "a", at())
	press(m, "k", "j", "j", "j")
	require.Equal(t, "d", at())
	press(m, "s", "r")
	require.Equal(t, "d", at(), "wherever it is sorted to")
	press(m, "r", "S", "/", "s", "e", "v", "enter")
	require.Equal(t, "d", names(m.rows()), "by its tag, whatever its case")
	press(m, "esc", "end")
	require.Equal(t, "e", at())
	m.see(shot(41*time.Second, "", up("a", "a", 8), up("b", "a", 8)))
	require.Equal(t, "b", at(), "one that has gone leaves the row to another")
	press(m, "/", "z", "enter", "j", "enter")
	require.Empty(t, m.looking, "nobody is there to look into")
}

func TestFilterIsTyped(t *testing.T) {
	m := newModel()
	require.Equal(t, none, press(m, "/", "q"), "a letter like all others")
	require.True(t, m.editing)
	press(m, "backspace", "backspace", "k", "i", "é", "backspace", "enter")
	require.Equal(t, "ki", m.filter)
	require.Equal(t, "c", names(m.rows()))
	press(m, "/", "x", "esc")
	require.Equal(t, "ki", m.filter, "as it was before")
	press(m, "/", "ctrl+u", "up", "enter")
	require.Empty(t, m.filter)
	require.Equal(t, quit, press(m, "/", "ctrl+c"))
}

func TestKeysThatLeave(t *testing.T) {
	m := newModel()
	require.Equal(t, ask, press(m, "enter"))
	require.Equal(t, "a", m.looking)
	require.Equal(t, ask, press(m, "tab"))
	require.Equal(t, "b", m.looking)
	press(m, "backtab", "backtab")
	require.Equal(t, "e", m.looking, "around the corner")
	press(m, "esc")
	require.Empty(t, m.looking)
	press(m, "?", "j")
	require.True(t, m.help, "it scrolls")
	press(m, "x")
	require.False(t, m.help)
	require.Equal(t, quit, press(m, "?", "q"))
	require.Equal(t, quit, press(m, "?", "enter", "q"))
	require.Equal(t, suspend, press(m, "ctrl+z"))
	require.Equal(t, redraw, press(m, "ctrl+l"))
	require.Equal(t, none, press(m, ""))
}

func TestPauseStandsStillAndCatchesUp(t *testing.T) {
	m := newModel()
	press(m, "p")
	still := golden(m, 80, 24)
	require.False(t, m.see(shot(50*time.Second, "", up("a", "a", 8))), "nothing to draw at once")
	require.Equal(t, still, golden(m, 80, 24))
	press(m, "p")
	require.Contains(t, golden(m, 80, 24), "a is the goose, term 8, after b")
}

func TestOnlyAChangeOfGooseIsUrgent(t *testing.T) {
	m := newModel()
	require.False(t, m.see(busy(41*time.Second)))
	p := busy(42 * time.Second)
	p.Faults = ""
	require.False(t, m.see(p))
	require.True(t, m.see(shot(43*time.Second, "", up("a", "", 7))))
	require.True(t, m.see(shot(44*time.Second, "", up("a", "a", 8))))
	require.True(t, m.see(shot(45*time.Second, "", up("a", "a", 9))), "the same in another term")
}

func TestCountersThatMove(t *testing.T) {
	m := newModel()
	press(m, "j", "j", "j", "enter")
	m.learn(answered(41*time.Second, 10))
	require.Empty(t, m.inside.rates, "one answer shows no movement")
	m.learn(answered(43*time.Second, 30))
	require.Equal(t, map[string]float64{"acks": 10}, m.inside.rates)
	m.learn(answered(44*time.Second, 30))
	require.Equal(t, map[string]float64{"acks": 0}, m.inside.rates, "it stays, once it has moved")
	other := answered(45*time.Second, 99)
	other.name = "a"
	m.learn(other)
	require.Equal(t, uint64(30), m.inside.counters["acks"], "another's answer")
	m.learn(answer{name: "d", err: errors.New("no luck")})
	require.ErrorContains(t, m.inside.err, "no luck")
	m.learn(answered(time.Second, 3))
	require.NoError(t, m.inside.err)
	require.Empty(t, m.inside.rates, "it was started anew")
}

func TestScrollEndsWhereTheLinesDo(t *testing.T) {
	m := newModel()
	press(m, "j", "j", "j", "enter")
	m.learn(answered(41*time.Second, 10))
	m.view(40, 10)
	press(m, "end")
	m.view(40, 10)
	end := m.scroll
	require.Positive(t, end)
	press(m, "up")
	require.Equal(t, end-1, m.scroll)
	m.view(200, 100)
	require.Zero(t, m.scroll)
}

func TestGooseByItsOwnWordWhereThatIsAtHand(t *testing.T) {
	lapsed := up("a", "a", 3)
	lapsed.Left = 0
	follows := func(name, goose string, term uint64) Agent { return up(name, goose, term) }
	for _, tt := range []struct {
		what   string
		agents []Agent
		goose  string
	}{
		{"nobody", []Agent{up("a", "", 3)}, ""},
		{"its own word", []Agent{up("a", "a", 3), up("b", "a", 3)}, "a"},
		{"the highest token", []Agent{up("a", "a", 3), up("b", "b", 4)}, "b"},
		{"one whose lease has run out is none", []Agent{lapsed, up("b", "a", 3)}, ""},
		{"one that is killed is none, whatever others heard", []Agent{gone("a", StateKilled, ""), follows("b", "a", 3)}, ""},
		{"one elsewhere, by those that follow it", []Agent{remote("a", StateAlive), follows("b", "a", 3)}, "a"},
		{"one elsewhere that nobody lists yet", []Agent{follows("b", "a", 3)}, "a"},
	} {
		p := Picture{Agents: tt.agents}
		require.Equal(t, tt.goose, p.Goose().Name, tt.what)
	}
}

func TestNewsTellsChangesOnce(t *testing.T) {
	warned := up("b", "b", 2)
	warned.Note = "it warns"
	seen := shot(0, "", up("a", "a", 3), remote("z", StateAlive))
	seen.From = "a"
	met := shot(0, "", up("a", "a", 3), remote("z", StateFailed), remote("y", StateAlive))
	dead := up("a", "a", 3)
	dead.Status.Role = api.RoleDead
	var n News
	for _, step := range []struct {
		p     Picture
		lines []string
	}{
		{shot(0, "", gone("a", StateStarting, ""), gone("b", StateStarting, "")), nil},
		{shot(0, "", up("a", "a", 1), gone("b", StateStarting, "")), []string{"a is up", "a is the goose, term 1", "there are 3 voters"}},
		{shot(0, "", up("a", "a", 1), up("b", "a", 1)), []string{"b is up"}},
		{shot(0, "", up("a", "a", 1), up("b", "a", 1)), nil},
		{shot(0, "", gone("a", StateKilled, ""), up("b", "", 1)), []string{"a was killed", "a is no longer the goose; there is none"}},
		{shot(480*time.Millisecond, "", gone("a", StateKilled, ""), up("b", "b", 2)), []string{"b is the goose, term 2: 480ms without one"}},
		{shot(0, "loss", gone("a", StateKilled, ""), warned), []string{"faults: loss"}},
		{shot(lasting-1, "loss", gone("a", StateKilled, ""), warned), nil},
		{shot(lasting, "loss", gone("a", StateKilled, ""), warned), []string{"b: it warns"}},
		{shot(2*lasting, "loss", gone("a", StateKilled, ""), warned), nil},
		{shot(0, "", gone("a", StateEnded, "agent a ended: why"), warned), []string{"agent a ended: why", "faults: none"}},
		{shot(0, "", up("a", "a", 3), up("b", "a", 3)), []string{"a is up", "a is the goose, term 3, after b"}},
		{shot(0, "", up("a", "", 3), up("b", "", 3)), []string{"a is no longer the goose; there is none"}},
		{shot(70*time.Millisecond, "", up("a", "a", 3), up("b", "a", 3)), []string{"a is the goose again, in term 3: 70ms without one"}},
		{shot(0, "", up("a", "", 3), up("b", "", 3)), []string{"a is no longer the goose; there is none"}},
		{shot(39686*time.Millisecond, "", up("a", "a", 3), up("b", "a", 3)), []string{"a is the goose again, in term 3: 39.7s without one"}},
		{shot(0, "", up("a", "a", 3), gone("b", StateSilent, "")), []string{"b does not answer"}},
		{seen, []string{"b is no longer listed"}},
		{met, []string{"z is failed", "y is new: alive"}},
		{shot(0, "", dead, met.Agents[1], met.Agents[2]), []string{"a is dead by simulation", "a is no longer the goose; there is none"}},
	} {
		var lines []string
		for _, e := range n.Tell(step.p) {
			lines = append(lines, e.String())
			look := plain
			switch text := e.String(); {
			case strings.Contains(text, "no longer the goose"):
				look = bad
			case strings.Contains(text, "is the goose"):
				look = good
			}
			require.Equal(t, look, e.style, e.text)
		}
		require.Equal(t, step.lines, lines)
	}
}
