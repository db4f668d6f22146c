package flock

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// up is a portrait of an agent that follows goose.
func up(name, goose string, term uint64) portrait {
	p := portrait{name: name, state: stateUp, age: 72 * time.Second}
	p.status = api.Status{
		Name: name, Role: api.RoleDuck, Voter: true, FlockID: "f", Term: term, Token: term, Heartbeat: 50, LeaseMS: 500,
		Config: api.Config{Voters: make([]api.Voter, 3)},
	}
	if goose != "" {
		p.status.Goose = &api.Goose{Name: goose}
	}
	if goose == name {
		p.status.Role, p.left = api.RoleGoose, 412*time.Millisecond
	}
	return p
}

func gone(name, state, note string) portrait {
	return portrait{name: name, state: state, note: note, age: 3 * time.Second}
}

func somePicture() picture {
	observer := up("d", "b", 7)
	observer.status.Voter = false
	return picture{faults: "partition a/b,c", agents: []portrait{
		up("a", "", 6), up("b", "b", 7), gone("c", stateKilled, ""), observer,
		gone("e", stateEnded, "agent e ended by itself: its last line"),
	}}
}

func someTable() *table {
	return &table{dir: "/f", hints: func(goose string) []hint {
		return []hint{{"kill the goose", "ddgoose flock kill " + goose}, {"two", "x"}, {"three", "y"}}
	}}
}

func TestTable(t *testing.T) {
	p, table := somePicture(), someTable()
	table.add(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), "b is the goose, term 7")
	require.Equal(t, strings.Split(strings.TrimPrefix(`
A flock of 5 in /f, heartbeat 50 ms, lease 500 ms
Faults: partition a/b,c

AGENT  ROLE      LEASE LEFT  FOLLOWS  TERM  TOKEN  VOTERS    AGE
a      duck                  nobody      6      6       3  1m12s
b      goose         412 ms  b           7      7       3  1m12s
c      killed                                                 3s
d      observer              b           7      7       3  1m12s
e      ended                                                  3s  agent e ended by itself: its last line

03:04:05.006 b is the goose, term 7





Try, in another terminal (Ctrl-C here stops all):
  kill the goose     ddgoose flock kill b
  two                x
  three              y`, "\n"), "\n"), table.draw(&p, 120, 40))
}

func TestTableFitsEveryWindow(t *testing.T) {
	p, table := somePicture(), someTable()
	for width := 1; width < 130; width += 3 {
		for height := 1; height < 30; height++ {
			lines := table.draw(&p, width, height)
			require.Less(t, len(lines), height, "the cursor needs a line of its own")
			for _, line := range lines {
				require.LessOrEqual(t, utf8.RuneCountInString(line), width)
			}
		}
	}
	narrow := strings.Join(table.draw(&p, 30, 40), "\n")
	require.Contains(t, narrow, "b      goose         412 ms", "what matters most goes last")
	require.NotContains(t, narrow, "TOKEN")
	low := table.draw(&p, 120, 7)
	require.Equal(t, "e", low[5][:1], "the agents outlast what stands around them")
}

func TestTablePaintsTheGooseAndTheDead(t *testing.T) {
	p, table := somePicture(), someTable()
	table.colour = true
	text := strings.Join(table.draw(&p, 120, 40), "\n")
	require.Contains(t, text, bold+"b      goose")
	require.Contains(t, text, faint+"c      killed")
	require.Equal(t, 3, strings.Count(text, plain), "and nobody else")
}

func TestNewsTellsChangesOnce(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	shot := func(after time.Duration, faults string, agents ...portrait) picture {
		return picture{at: at.Add(after), faults: faults, agents: agents}
	}
	warned := up("b", "b", 2)
	warned.note = "it warns"
	var n news
	for _, step := range []struct {
		p     picture
		lines []string
	}{
		{shot(0, "", gone("a", stateStarting, ""), gone("b", stateStarting, "")), nil},
		{shot(0, "", up("a", "a", 1), gone("b", stateStarting, "")), []string{"a is up", "a is the goose, term 1", "3 of 2 are voters"}},
		{shot(0, "", up("a", "a", 1), up("b", "a", 1)), []string{"b is up"}},
		{shot(0, "", up("a", "a", 1), up("b", "a", 1)), nil},
		{shot(0, "", gone("a", stateKilled, ""), up("b", "", 1)), []string{"a was killed", "no goose: a is none any more"}},
		{shot(480*time.Millisecond, "", gone("a", stateKilled, ""), up("b", "b", 2)), []string{"b is the goose, term 2: 480 ms without one"}},
		{shot(0, "loss", gone("a", stateKilled, ""), warned), []string{"b: it warns", "faults: loss"}},
		{shot(0, "", gone("a", stateEnded, "agent a ended: why"), warned), []string{"agent a ended: why", "faults: none"}},
		{shot(0, "", up("a", "a", 3), up("b", "a", 3)), []string{"a is up", "a is the goose, term 3, after b"}},
		{shot(0, "", up("a", "", 3), up("b", "", 3)), []string{"no goose: a is none any more"}},
		{shot(70*time.Millisecond, "", up("a", "a", 3), up("b", "a", 3)), []string{"a is the goose again, in term 3: 70 ms without one"}},
	} {
		require.Equal(t, step.lines, n.tell(step.p))
	}
}
