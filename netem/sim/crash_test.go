//go:build !race

package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"duckduckgoose/netem/schedule"

	"github.com/stretchr/testify/require"
)

// crashScripts are short runs, each with a stretch in which something happens
// that must stand any crash.
var crashScripts = []struct {
	name     string
	text     string
	from, to time.Duration
	after    bool // the crash is armed after what the script does at from
}{
	{name: "founding together", text: "agents 3\nexpect 3", to: time.Second},
	{name: "founding alone and joining", text: "agents 3\ntogether 0", to: 400 * time.Millisecond},
	{name: "a voter is added", text: "agents 4\ntogether 3\nvoters 5\nholders 1", from: 1900 * time.Millisecond, to: 2600 * time.Millisecond},
	{name: "an election after a crash", text: "agents 3\nholders 1\nat 3s crash goose for 1s", from: 3 * time.Second, to: 3800 * time.Millisecond},
	{name: "hand-over", text: "agents 3\nholders 1\nat 3s step-down goose", from: 3 * time.Second, to: 3600 * time.Millisecond},
	{name: "a mark is raised", text: "agents 3\nholders 1\nelection blue\nat 3s mark goose\nat 3050ms mark goose", from: 3 * time.Second, to: 3100 * time.Millisecond},
	{name: "a stop of the goose", text: "agents 3\nat 3s stop goose for 1s", from: 3 * time.Second, to: 3300 * time.Millisecond},
	{name: "a change of the table", text: "agents 3\nholders 1\nelection blue\nelection green a,b", from: 500 * time.Millisecond, to: 1500 * time.Millisecond},
	{name: "hand-over of several elections", text: "agents 3\nholders 1\nelection blue\nelection green\nat 5s hand-over 1s for 500ms", from: 5 * time.Second, to: 5400 * time.Millisecond},
	{name: "leave of the goose", text: "agents 4\nvoters 3\nat 3s leave goose for 2s", from: 3 * time.Second, to: 3500 * time.Millisecond},
	{name: "preemption", text: "agents 3\npriority c 200\npreempt c 1s\nat 1s crash c for 500ms", from: 3 * time.Second, to: 4 * time.Second},
	{name: "recover", text: "agents 3\nholders 1\nelection blue\nat 3s crash c power\nat 4s recover a,b", from: 4 * time.Second, to: 5500 * time.Millisecond, after: true},
}

// crashEnd is how long after the stretch the flock must be well again.
const crashEnd = 8 * time.Second

// TestCrashAfterEveryEffect runs each script once to count the effects of each
// agent, and then once for every effect, crashing the process or the machine
// there. No promise may break, and in the end there is a goose of every election.
func TestCrashAfterEveryEffect(t *testing.T) {
	for _, script := range crashScripts {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.ParseScenario(script.name, script.text)
			require.NoError(t, err)
			set := s.Settings
			set.Seed, set.For = 1, script.to+crashEnd
			for _, name := range append([]string{""}, (&set).Contests("a")...) {
				set.Ops = append(set.Ops, schedule.Op{At: set.For - time.Millisecond, Verb: "expect", What: fmt.Sprintf("leads * %s", name)})
			}
			crashes := 0
			for who, n := range effectsWithin(t, set, script.from, script.to) {
				for at := range n {
					for _, power := range [...]string{"", " power"} {
						crash := schedule.Op{At: script.from, Verb: "crash-at", Who: schedule.Name(who), What: fmt.Sprintf("any %d%s", at, power), For: 200 * time.Millisecond}
						with := set
						where := slices.IndexFunc(set.Ops, func(o schedule.Op) bool { return o.At > script.from || !script.after && o.At == script.from })
						with.Ops = slices.Insert(slices.Clone(set.Ops), where, crash)
						r := Run(with, nil)
						require.NoError(t, r.Err, "%s\n%s", crash, r.Report("go test ./netem/sim -run CrashAfterEveryEffect"))
						crashes += r.Stats.Struck["crash-at"]
					}
				}
			}
			t.Logf("%d crashes", crashes)
			require.Positive(t, crashes)
		})
	}
}

// effectsWithin counts the effects of each agent within a stretch of a run.
func effectsWithin(t *testing.T, set schedule.Settings, from, to time.Duration) []int {
	s := newSim(set, bugs{})
	s.setUp()
	s.run(from)
	counts := make([]int, len(s.agents))
	for i, a := range s.agents {
		counts[i] = -a.effects
	}
	s.run(to)
	require.NoError(t, s.err)
	for i, a := range s.agents {
		counts[i] += a.effects
	}
	return counts
}
