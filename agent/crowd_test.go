package agent

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var crowdSize = flag.Int("crowd.agents", 40, "how many agents TestACrowdIsToldEverywhere starts within a second")

// TestACrowdIsToldEverywhere starts a flock of voters and then many agents at once: the
// goose stays, and all know it. Then it dies, and all know the next one at once.
func TestACrowdIsToldEverywhere(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		goose, token := f.goose(), f.agents[f.goose()].state().Token
		began := time.Now()
		for i := range *crowdSize {
			f.start(fmt.Sprintf("crowd%d", i), joining("10.0.0.1", "10.0.0.2"))
			f.sleep(time.Second / time.Duration(*crowdSize))
		}
		f.until(10*time.Second, "all know the goose", func() bool { return f.agreed(f.live()...) })
		known := time.Since(began)
		f.allAlive()
		t.Logf("%d agents: all know the goose after %v, and one another after %v", *crowdSize+5, known, time.Since(began))
		require.Equal(t, []any{goose, token}, []any{f.goose(), f.agents[goose].state().Token}, "the goose stays")

		f.sleep(2 * time.Second)
		before, _ := f.sentBy(goose)
		f.sleep(5 * time.Second)
		after, _ := f.sentBy(goose)
		require.Less(t, float64(after-before)/5, 450.0, "to 4 voters, 8 candidates, 16 relays, and gossip")

		f.crash(goose)
		f.until(5*time.Second, "another goose", func() bool { return f.goose() != "" })
		at := time.Now()
		knowing := func() (n int) {
			for _, name := range f.live() {
				if s := f.agents[name].state(); s.Goose != nil && s.Token > token {
					n++
				}
			}
			return n
		}
		f.until(time.Second, "99 % know it", func() bool { return knowing()*100 >= 99*len(f.live()) })
		t.Logf("the goose sends %.0f datagrams a second; 99 %% know the next one after %v", float64(after-before)/5, time.Since(at))
		require.LessOrEqual(t, time.Since(at), 20*time.Millisecond, "on a network without delays")
	})
}

// sentBy returns how many datagrams an agent has sent, of elections and of gossip.
func (f *testFlock) sentBy(name string) (datagrams, bytes uint64) {
	c := f.agents[name].Status().Counters
	return c["datagrams_sent"] + c["gossip_sent"], c["bytes_sent"] + c["gossip_bytes_sent"]
}
