package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/check"
)

const ms = time.Millisecond

func led(at int, agent string, token uint64) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Led, Agent: agent, Flock: "f", Token: token}
}

func published(at int, agent string, token uint64, until int) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Published, Agent: agent, Flock: "f", Token: token, Until: time.Duration(until) * ms}
}

func retracted(at int, agent string) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Retracted, Agent: agent, Flock: "f"}
}

func answered(since, at int, agent string, token uint64) check.Event {
	return check.Event{Since: time.Duration(since) * ms, At: time.Duration(at) * ms, Kind: check.Answered, Agent: agent, Flock: "f", Token: token}
}

func handedOut(at int, agent, holder string, token uint64, until int) check.Event {
	e := published(at, agent, token, until)
	e.Kind, e.Holder = check.HandedOut, holder
	return e
}

func drained(at int, agent, holder string) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Drained, Agent: agent, Flock: "f", Holder: holder}
}

func recorded(at int, agent string, r check.Record) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Recorded, Agent: agent, Flock: "f", Record: r}
}

func agreed(at int, agent string, r check.Record) check.Event {
	e := recorded(at, agent, r)
	e.Kind = check.Agreed
	return e
}

func withTable(r check.Record, table string) check.Record {
	r.Config.Table = table
	return r
}

func due(at, bound int) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Due, Bound: time.Duration(bound) * ms}
}

func excused(at int) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Excused}
}

func began(at int, agent string, token, mark uint64) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Began, Agent: agent, Flock: "f", Token: token, Mark: mark}
}

func raised(at int, agent string, token, mark uint64) check.Event {
	return check.Event{At: time.Duration(at) * ms, Kind: check.Raised, Agent: agent, Flock: "f", Token: token, Mark: mark}
}

func record(term uint64, vote string, configTerm, version uint64, voters string) check.Record {
	return check.Record{Term: term, Vote: vote, Config: check.Config{Term: configTerm, Version: version, Voters: voters}}
}

func inFlock(flock string, e check.Event) check.Event {
	e.Flock = flock
	return e
}

func inElection(name string, e check.Event) check.Event {
	e.Election = name
	return e
}

// TestEachPromiseCanBeBroken holds runs that must fail against runs beside
// them, differing in one event, that must not.
func TestEachPromiseCanBeBroken(t *testing.T) {
	recovered := record(5, "", 0, 1, "a")
	recovered.Generation = 1
	for _, tt := range []struct {
		name   string
		broken string // "": no promise
		events []check.Event
	}{
		{"one leader a term", "", []check.Event{led(1, "a", 1), led(2, "b", 2), led(3, "a", 3), led(4, "a", 3)}},
		{"two leaders of a term", "P1", []check.Event{led(1, "a", 1), led(2, "b", 1)}},
		{"terms of two elections are apart", "", []check.Event{
			published(0, "a", 1, 500), inElection("x", published(1, "b", 1, 500)), inElection("y", published(2, "c", 1, 500))}},
		{"two are the goose of one election", "P2", []check.Event{
			inElection("x", published(1, "a", 1, 500)), inElection("x", published(2, "b", 2, 500))}},
		{"only the default election owes a goose", "P4", []check.Event{
			due(0, 100), inElection("x", published(1, "a", 1, 500)), excused(200)}},
		{"terms of two flocks are apart", "", []check.Event{led(1, "a", 1), inFlock("g", led(2, "b", 1))}},
		{"a term is claimed by an answer alone", "P1", []check.Event{led(1, "a", 1), answered(2, 3, "b", 1)}},

		{"one goose after the other", "", []check.Event{published(0, "a", 1, 500), published(500, "b", 2, 900)}},
		{"two are told as goose", "P2", []check.Event{published(0, "a", 1, 500), published(499, "b", 2, 900)}},
		{"the first one's readers were told", "", []check.Event{published(0, "a", 1, 500), retracted(300, "a"), published(300, "b", 2, 900)}},
		{"a renewal overlaps", "P2", []check.Event{
			published(0, "a", 1, 500), published(500, "b", 2, 900), published(600, "a", 1, 1000)}},
		{"a holder acts after the crash of its agent", "P2", []check.Event{
			published(0, "a", 1, 500), handedOut(0, "a", "h", 1, 500), retracted(100, "a"), published(200, "b", 2, 900)}},
		{"it was drained before", "", []check.Event{
			published(0, "a", 1, 500), handedOut(0, "a", "h", 1, 500), drained(99, "a", "h"), retracted(100, "a"), published(200, "b", 2, 900)}},
		{"another holder was drained", "P2", []check.Event{
			handedOut(0, "a", "h", 1, 500), handedOut(0, "a", "i", 1, 500), drained(99, "a", "i"), published(200, "b", 2, 900)}},
		{"two holders of one period", "", []check.Event{handedOut(0, "a", "h", 1, 500), handedOut(10, "a", "i", 1, 500)}},
		{"an agent's own old holder", "P2", []check.Event{handedOut(0, "a", "h", 1, 500), published(200, "a", 2, 900)}},
		{"a deadline that is over on arrival", "", []check.Event{handedOut(600, "a", "h", 1, 500), published(600, "b", 2, 900)}},
		{"a shorter deadline takes the place of a longer one", "", []check.Event{
			published(0, "a", 1, 500), published(10, "a", 1, 400), published(450, "b", 2, 900)}},
		{"an answer while a holder of another acts", "P2", []check.Event{
			handedOut(0, "a", "h", 1, 500), answered(100, 200, "b", 2)}},
		{"an answer that may have come before", "", []check.Event{
			answered(0, 0, "b", 0), handedOut(150, "a", "h", 1, 500), answered(100, 200, "b", 0)}},

		{"a token falls", "P3", []check.Event{published(0, "a", 2, 500), published(600, "b", 1, 900)}},
		{"a goose comes back in its term", "P3", []check.Event{
			published(0, "a", 1, 500), published(500, "b", 2, 600), published(700, "a", 1, 900)}},
		{"a lease is earned back in its term", "", []check.Event{published(0, "a", 1, 500), published(700, "a", 1, 900)}},
		{"an answer with an older token, asked later", "P3", []check.Event{
			answered(0, 10, "a", 1), answered(20, 30, "b", 2), answered(31, 40, "a", 1)}},
		{"an answer with an older token, asked before", "", []check.Event{
			answered(0, 10, "a", 1), answered(20, 30, "b", 2), answered(29, 40, "a", 1)}},
		{"tokens of two flocks are apart", "", []check.Event{published(0, "a", 2, 500), inFlock("g", published(600, "b", 1, 900))}},

		{"a mark is kept by the next goose", "", []check.Event{
			began(0, "a", 1, 0), raised(1, "a", 1, 5), began(2, "b", 2, 5), raised(3, "b", 2, 6), began(4, "a", 3, 7)}},
		{"a mark is lost", "P9", []check.Event{began(0, "a", 1, 0), raised(1, "a", 1, 5), began(2, "b", 2, 4)}},
		{"a mark is reported after another goose began without it", "P9", []check.Event{began(0, "a", 1, 0), began(1, "b", 2, 0), raised(2, "a", 1, 5)}},
		{"a mark is given twice", "P9", []check.Event{
			began(0, "a", 1, 0), began(1, "b", 2, 5), raised(2, "b", 2, 6), began(3, "c", 3, 6), raised(4, "c", 3, 6)}},
		{"a recovery may lower a mark", "", []check.Event{
			began(0, "a", 1, 0), raised(1, "a", 1, 5), began(2, "b", 1<<40+1, 0), raised(3, "b", 1<<40+1, 5)}},
		{"marks of two elections are apart", "", []check.Event{
			began(0, "a", 1, 0), raised(1, "a", 1, 5), inElection("x", began(2, "b", 2, 0)), inElection("x", raised(3, "b", 2, 5))}},
		{"a disk forgets a mark", "P6", []check.Event{
			recorded(0, "a", check.Record{Term: 1, Mark: 5}), recorded(1, "a", check.Record{Term: 1, Mark: 4})}},

		{"two votes in a term", "P1", []check.Event{
			recorded(0, "a", record(1, "a", 0, 1, "a b")), recorded(1, "a", record(1, "b", 0, 1, "a b"))}},
		{"a vote forgotten and given again", "P1", []check.Event{
			recorded(0, "a", record(1, "a", 0, 1, "a b")), recorded(1, "a", record(1, "", 0, 1, "a b")), recorded(2, "a", record(1, "b", 0, 1, "a b"))}},
		{"a vote in each term", "", []check.Event{
			recorded(0, "a", record(1, "a", 0, 1, "a b")), recorded(1, "a", record(2, "b", 0, 1, "a b"))}},
		{"a term forgotten", "P6", []check.Event{
			recorded(0, "a", record(2, "", 0, 1, "a b")), recorded(1, "a", record(1, "", 0, 1, "a b"))}},
		{"a config forgotten", "P6", []check.Event{
			recorded(0, "a", record(2, "", 2, 2, "a b")), recorded(1, "a", record(2, "", 2, 1, "a"))}},
		{"a config lost whole", "P6", []check.Event{
			recorded(0, "a", record(2, "", 2, 2, "a b")), recorded(1, "a", record(2, "", 0, 0, ""))}},
		{"two sets of voters under one version", "P1", []check.Event{
			recorded(0, "a", record(2, "", 2, 2, "a b")), recorded(1, "b", record(2, "", 2, 2, "a b c"))}},
		{"a config of a later term than the record", "P6", []check.Event{recorded(0, "a", record(1, "", 2, 2, "a b"))}},
		{"a recovery begins the configs anew", "", []check.Event{
			recorded(0, "a", record(4, "", 4, 7, "a b c")), recorded(1, "a", recovered)}},
		{"a recovery begins terms anew", "", []check.Event{
			recorded(0, "a", record(9, "", 4, 7, "a b c")), recorded(1, "a", recovered)}},
		{"a recovery forgotten", "P6", []check.Event{
			recorded(0, "a", recovered), recorded(1, "a", record(5, "", 4, 7, "a b c"))}},

		{"two tables under one version", "P1", []check.Event{
			recorded(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", withTable(record(2, "", 2, 2, "a b"), "y"))}},
		{"a table grows", "", []check.Event{
			agreed(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", withTable(record(3, "", 3, 2, "a b"), "x y"))}},
		{"a table that a majority had taken is lost", "P6", []check.Event{
			agreed(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", withTable(record(3, "", 3, 2, "a b"), "y"))}},
		{"it was lost already when the majority took it", "P6", []check.Event{
			recorded(0, "b", withTable(record(3, "", 3, 2, "a b"), "y")), agreed(1, "a", withTable(record(2, "", 2, 2, "a b"), "x"))}},
		{"a table that no majority had taken is lost", "", []check.Event{
			recorded(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", withTable(record(3, "", 3, 2, "a b"), "y"))}},
		{"an older config comes late", "", []check.Event{
			agreed(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", record(2, "", 2, 1, "a b"))}},
		{"a recovery begins the table anew", "", []check.Event{
			agreed(0, "a", withTable(record(2, "", 2, 2, "a b"), "x")), recorded(1, "b", recovered)}},

		{"a goose in time", "", []check.Event{due(0, 100), published(100, "a", 1, 500), published(590, "a", 1, 900)}},
		{"no goose in time", "P4", []check.Event{due(0, 100), published(101, "a", 1, 500)}},
		{"nobody owes one", "", []check.Event{published(101, "a", 1, 500), led(2000, "b", 2)}},
		{"a goose lost and none in time", "P4", []check.Event{due(0, 100), published(50, "a", 1, 500), published(601, "b", 2, 900)}},
		{"a goose lost when the debt was over", "", []check.Event{
			due(0, 100), published(50, "a", 1, 500), excused(550), published(900, "b", 2, 1200)}},
		{"a debt renewed every moment is the same debt", "P4", []check.Event{due(0, 100), due(60, 100), published(120, "a", 1, 500)}},
		{"the debt begins when it is said", "", []check.Event{excused(0), due(300, 100), published(400, "a", 1, 500)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := check.New()
			for i, e := range tt.events {
				v := c.See(e)
				if i < len(tt.events)-1 || tt.broken == "" {
					require.Nil(t, v, e)
					continue
				}
				require.NotNil(t, v)
				require.Equal(t, tt.broken, v.Promise, v)
				require.Equal(t, tt.broken != "P4", v.Safety())
				require.Equal(t, e.At, v.At)
			}
			require.Equal(t, len(tt.events), c.Seen())
		})
	}
}

func TestEndTellsWhatIsOverdue(t *testing.T) {
	c := check.New()
	require.Nil(t, c.See(due(0, 100)))
	require.Nil(t, c.End(100*ms))
	v := c.End(101 * ms)
	require.NotNil(t, v)
	require.Equal(t, "P4", v.Promise)
	require.ErrorContains(t, v, "no goose since 0s")
	require.Nil(t, c.End(time.Second), "once")
}

func TestGapsAndPeriodsAreCounted(t *testing.T) {
	c := check.New()
	for _, e := range []check.Event{
		published(100, "a", 1, 500), published(300, "a", 1, 700), // until 700
		published(900, "b", 2, 1400), retracted(1000, "b"), // a gap of 200
		published(1001, "c", 3, 1500), // a gap of 1
		published(1600, "c", 3, 2000), // the same period, after a gap of 100
	} {
		require.Nil(t, c.See(e))
	}
	gaps, total := c.Gaps()
	require.Equal(t, []time.Duration{200 * ms, ms, 100 * ms}, gaps)
	require.Equal(t, 301*ms, total)
	require.Equal(t, 3, c.Periods())
	require.True(t, c.Goose(1999*ms))
	require.False(t, c.Goose(2000*ms))
}

func TestEventsComeInOrder(t *testing.T) {
	c := check.New()
	require.Nil(t, c.See(led(2, "a", 1)))
	require.Panics(t, func() { c.See(led(1, "a", 1)) })
	require.Panics(t, func() { c.See(check.Event{At: time.Hour}) })
}

func TestEventsAndViolationsReadWell(t *testing.T) {
	for want, e := range map[string]check.Event{
		"1ms a led token 3":                                                   led(1, "a", 3),
		"1ms a published token 3 until 5ms":                                   published(1, "a", 3, 5),
		"2ms a answered token 3, asked at 1ms":                                answered(1, 2, "a", 3),
		"1ms a handed out to h token 3 until 5ms":                             handedOut(1, "a", "h", 3, 5),
		"1ms a drained h":                                                     drained(1, "a", "h"),
		`1ms a recorded generation 0 term 2 vote "b" config (1, 4) a b`:       recorded(1, "a", record(2, "b", 1, 4, "a b")),
		`1ms a agreed generation 0 term 2 vote "b" config (1, 4) a b table x`: agreed(1, "a", withTable(record(2, "b", 1, 4, "a b"), "x")),
		"1ms a retracted":                                                     retracted(1, "a"),
	} {
		require.Equal(t, want, e.String())
	}
	c := check.New()
	c.See(published(0, "a", 1, 500))
	require.EqualError(t, c.See(handedOut(1, "b", "h", 2, 501)),
		"P2 broken at 1ms: b is the goose of token 2 until 501ms by h, while a is the goose of token 1 until 500ms")
}
