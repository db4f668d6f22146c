//go:build !race

package election

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var mcLong = flag.Bool("modelcheck.long", false, "run the model check at full bounds (minutes, and gigabytes)")

// mcBounds picks a bound: full when asked for.
func mcBounds[T any](short, long T) T {
	if *mcLong {
		return long
	}
	return short
}

// TestModelCheckUntimed walks every state of three agents without clocks, by
// the terms and versions of configs that they may reach: crashes at any time, messages that
// come late, twice, out of order or never, changes of voters, transfers.
func TestModelCheckUntimed(t *testing.T) {
	type bounds struct{ terms, versions uint64 }
	for _, names := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}} {
		short := bounds{3, 3}
		if len(names) == 2 {
			short.versions = 2 // one voter grows to two and three, and three shrink to two, within three
		}
		for _, b := range mcBounds([]bounds{short}, []bounds{{3, 3}, {4, 2}, {2, 5}}) {
			t.Run(fmt.Sprintf("%d voters, %d terms, %d versions", len(names), b.terms, b.versions), func(t *testing.T) {
				r := mcRun(t, &mcUntimed{configs: []Config{configOf(names...)}, terms: b.terms, versions: b.versions}, 100_000_000)
				t.Log(r)
				require.Empty(t, r.violation)
				require.True(t, r.complete)
			})
		}
	}
}

// TestModelCheckTables does the same while leaders also add to the table: an
// election that a leader has let begin, as a majority had taken the table, is in
// every later one, whoever leads and however the voters change.
func TestModelCheckTables(t *testing.T) {
	type bounds struct {
		terms, versions uint64
		fixed           bool
	}
	for _, b := range mcBounds([]bounds{{2, 3, false}}, []bounds{{2, 4, false}, {3, 3, true}, {3, 3, false}}) {
		t.Run(fmt.Sprintf("%d terms, %d versions, the same voters: %v", b.terms, b.versions, b.fixed), func(t *testing.T) {
			u := &mcUntimed{configs: []Config{configOf("a", "b", "c")}, terms: b.terms, versions: b.versions, tables: true, fixed: b.fixed}
			r := mcRun(t, u, 100_000_000)
			t.Log(r)
			require.Empty(t, r.violation)
			require.True(t, r.complete)
		})
	}
}

// mcRates are the ways to give each of three clocks one of the extreme rates.
func mcRates() (all [][mcAgents]time.Duration) {
	for k := range 8 {
		var r [mcAgents]time.Duration
		for i := range r {
			r[i] = [2]time.Duration{mcSlow, mcFast}[k>>i&1]
		}
		all = append(all, r)
	}
	return all
}

// TestModelCheckTimed walks the states of three agents with leases, clocks that drift by rho,
// pauses and crashes: never two geese, by what holders were handed and by what is answered.
// Short, it begins with a goose; long, also with nothing.
func TestModelCheckTimed(t *testing.T) {
	worst := [][mcAgents]time.Duration{{mcSlow, mcFast, mcFast}}
	forger := mcHarness{mcFault{forges: []Kind{Reject, HeartbeatAck}}}
	one, two, three := configOf("a"), configOf("a", "b"), configOf("a", "b", "c")
	for _, c := range []struct {
		name       string
		model      mcTimed
		long       func(*mcTimed)
		exhaustive bool // short, too
	}{
		{"a crash", mcTimed{terms: 2, versions: 1, led: true, quiet: true, holders: true, crashes: 1, configs: []Config{three}},
			func(m *mcTimed) { m.terms, m.crashes = 3, 1 }, true},
		{"answers alone, and recordings of a former life", mcTimed{terms: 2, versions: 1, led: true, quiet: true, crashes: 1, lives: true, configs: []Config{three}},
			func(m *mcTimed) { m.led, m.lives, m.crashes = false, false, -1 }, true},
		{"a last will", mcTimed{terms: 2, versions: 1, led: true, quiet: true, crashes: 1, wills: true, configs: []Config{three}},
			func(m *mcTimed) { m.terms = 3 }, true},
		{"a last will that waits for holders", mcTimed{terms: 2, versions: 1, led: true, quiet: true, holders: true, joins: true, crashes: 1, wills: true, configs: []Config{three}},
			nil, false},
		{"three terms, and a forged one", mcTimed{mcHarness: forger, terms: 3, versions: 1, led: true, quiet: true, holders: true, configs: []Config{three}},
			func(m *mcTimed) { m.lease = 3 }, true},
		{"transfer and resign in three terms", mcTimed{terms: 3, versions: 1, led: true, holders: true, still: true, configs: []Config{three}},
			func(m *mcTimed) { m.crashes = 1 }, true},
		{"transfer and resign", mcTimed{terms: 2, versions: 1, led: true, holders: true, crashes: 1, configs: []Config{three}}, nil, false},
		{"growth from one", mcTimed{terms: 2, versions: 3, led: true, quiet: true, holders: true, configs: []Config{one}}, nil, false},
		{"changes of two", mcTimed{terms: 2, versions: 3, led: true, quiet: true, holders: true, configs: []Config{two}}, nil, false},
		{"changes of three", mcTimed{terms: 2, versions: 3, led: true, quiet: true, holders: true, configs: []Config{three}}, nil, false},
		{"a lone voter's crashes", mcTimed{terms: 3, versions: 1, led: true, holders: true, crashes: 2, configs: []Config{one}}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.model
			m.lease, m.rates = 2, worst
			if *mcLong {
				m.rates = mcRates()
				if c.long != nil {
					c.long(&m)
				}
			}
			limit := 100_000 // of those that only the long form exhausts: all within 8 to 10 moves
			if c.exhaustive {
				limit = 1_500_000
			}
			r := mcRun(t, &m, mcBounds(limit, 40_000_000))
			t.Log(r)
			require.Empty(t, r.violation)
			if c.exhaustive && !*mcLong {
				require.True(t, r.complete, "the short form has grown: %v", r)
			}
		})
	}
}

// Who holds the key may lie. In each of these runs it makes up one message, in
// anybody's name, to anybody, at any moment. A term out of reach changes nothing,
// in any state (rule 26). A higher term that may be true breaks none of P1 to P3
// when a Reject or an ack shows it: [TestModelCheckTimed] has them in its run of
// three terms. In a heartbeat or a vote request it breaks no vote and no order of
// configs, so P1 holds: that is shown here. But it frees a voter of its promise,
// and P2 and P3 hold only after the former lease's end: [TestModelCheckCatches] has the two geese.
// Votes, configs, and acks of the present term are not made up here: they are believed.
func TestModelCheckForged(t *testing.T) {
	forger := mcHarness{mcFault{forges: []Kind{Reject, HeartbeatAck, Heartbeat, VoteRequest}}}
	r := mcRun(t, &mcUntimed{mcHarness: forger, configs: []Config{configOf("a", "b", "c")}, terms: 2, versions: 2}, mcBounds(1_000_000, 1_000_000))
	t.Log(r)
	require.Empty(t, r.violation)
	require.True(t, r.complete)
}

// TestModelCheckMarks walks every state in which geese also raise the mark: the winner
// of a later term knows every mark that was reported as committed, through crashes at
// any time, changes of voters and transfers (P9).
func TestModelCheckMarks(t *testing.T) {
	type bounds struct {
		names                  []string
		terms, versions, marks uint64
		fixed                  bool
	}
	one, two, three := []string{"a"}, []string{"a", "b"}, []string{"a", "b", "c"}
	for _, b := range mcBounds(
		[]bounds{{three, 3, 1, 1, true}, {three, 2, 2, 1, false}, {one, 2, 3, 1, false}, {three, 2, 1, 2, true}},
		[]bounds{{three, 3, 1, 2, true}, {three, 2, 3, 1, false}, {three, 3, 2, 1, false}, {two, 2, 3, 1, false}, {two, 3, 3, 1, false}, {one, 3, 3, 1, false}},
	) {
		t.Run(fmt.Sprintf("%d voters, %d terms, %d versions, %d marks", len(b.names), b.terms, b.versions, b.marks), func(t *testing.T) {
			u := &mcUntimed{configs: []Config{configOf(b.names...)}, terms: b.terms, versions: b.versions, marks: b.marks, fixed: b.fixed}
			r := mcRun(t, u, 100_000_000)
			t.Log(r)
			require.Empty(t, r.violation)
			require.True(t, r.complete)
		})
	}
}
