package agent

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// knowing returns the share of the live agents that name an agent as an election's goose.
func (f *testFlock) knowing(goose, election string) float64 {
	knowing := 0
	for _, name := range f.live() {
		if s := f.statusOf(name, election); s.Goose != nil && s.Goose.Name == goose {
			knowing++
		}
	}
	return float64(knowing) / float64(len(f.live()))
}

// TestACrowdKnowsTheGeeseOfAllElections has five voters, which contest some elections, and
// many observers. What the goose of an election sends does not grow with the flock. It
// dies, and all know the next one at once.
func TestACrowdKnowsTheGeeseOfAllElections(t *testing.T) {
	sizes := []int{20, 60}
	if *crowdSize != 45 {
		sizes = []int{*crowdSize}
	}
	for _, n := range sizes {
		inFlock(t, func(t *testing.T, f *testFlock) {
			names := many(*crowdElections)
			f.foundWith(5, names...)
			f.spread(names...)
			for i := range n - 5 {
				f.start(fmt.Sprintf("crowd%d", i), joining("10.0.0.1", "10.0.0.2"), asObserver)
				f.sleep(10 * time.Millisecond)
			}
			f.eventually(10*time.Second+time.Duration(n)*50*time.Millisecond, "all know all geese", func() bool {
				return f.agreed(f.live()...) && !slices.ContainsFunc(names, func(name string) bool { return f.knowing(f.gooseOf(name), name) < 1 })
			})
			of := names[0]
			if f.gooseOf(of) == f.goose() {
				require.NoError(t, f.await(func() error { return f.in(f.goose(), of).StepDown(context.Background(), "") }))
			}
			f.sleep(10 * time.Second)
			goose, observer := f.gooseOf(of), f.live()[n-1]
			const idle = 5 * time.Second
			own, its, got := f.sent(goose), f.sent(observer), f.received(observer)
			for range idle / (100 * time.Millisecond) {
				f.sleep(100 * time.Millisecond)
				require.EqualValues(t, 1, f.knowing(goose, of))
			}
			own, its, got = f.sent(goose).since(own), f.sent(observer).since(its), f.received(observer).since(got)
			require.Less(t, own.datagrams/idle.Seconds(), 240.0, "to 4 voters, 16 relays, and gossip, in a flock of any size")

			f.crash(goose)
			f.until(5*time.Second, "another goose", func() bool { return f.gooseOf(of) != "" })
			at := time.Now()
			f.eventually(time.Second, "99 % know it", func() bool { return f.knowing(f.gooseOf(of), of) >= 0.99 })
			told := time.Since(at)
			require.LessOrEqual(t, told, 20*time.Millisecond, "on a network without delays")
			s := idle.Seconds()
			t.Logf("%d agents, %d elections besides the default one: a second, the goose of one sends %.0f datagrams, %.0f bytes; an observer sends %.0f, %.0f, and gets %.0f, %.0f; 99 %% know the next goose %d ms after its win",
				n, len(names), own.datagrams/s, own.bytes/s, its.datagrams/s, its.bytes/s, got.datagrams/s, got.bytes/s, told.Milliseconds())
		})
	}
}

// received is what an agent has received, of elections and of gossip.
func (f *testFlock) received(name string) traffic {
	c := f.agents[name].Status().Counters
	return traffic{float64(c["datagrams_received"] + c["gossip_received"]), float64(c["bytes_received"] + c["gossip_bytes_received"])}
}
