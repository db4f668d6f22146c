package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/seeds"
)

// TestEveryAddressGetsItsTurn has more dead addresses before the live one than
// are called at once.
func TestEveryAddressGetsItsTurn(t *testing.T) {
	inFlock(t, 1, func(t *testing.T, f *flock) {
		var join []string
		for i := range 3 * callsAtOnce {
			join = append(join, fmt.Sprintf("10.9.0.%d", i+1))
		}
		began := time.Now()
		b := f.start(1, append(join, "10.0.0.1")...)
		f.until("b has joined", func() bool { return len(b.Peers()) == 2 })
		require.Less(t, time.Since(began), time.Minute)
	})
}

// Each answer is the state of the whole flock. In a small one those that are called may not know
// yet who has joined through another.
func TestAnAgentThatHasMetNobodyCallsOneAfterAnother(t *testing.T) {
	for _, tt := range []struct {
		n     int
		calls int64
	}{{3, 3}, {smallFlock + 1, 1}} {
		inFlock(t, tt.n, func(t *testing.T, f *flock) {
			met := map[int]bool{}
			for i := range 20 {
				c := f.start(byte(tt.n+i), "10.0.0.1", "10.0.0.2", "10.0.0.3")
				f.until("it has joined", func() bool { return len(c.Peers()) >= tt.n })
				time.Sleep(headStart)
				synctest.Wait()
				require.Equal(t, tt.calls, c.calls.Load(), "agent %d", i)
				for at := range 3 {
					if f.see(tt.n+i, at).Met {
						met[at] = true
					}
				}
			}
			require.Greater(t, len(met), 1, "not all call the same one first, and they know whom")

			began := time.Now()
			c := f.start(100, "10.9.0.1", "10.0.0.1", "10.9.0.2")
			f.until("it has joined", func() bool { return len(c.Peers()) >= tt.n })
			require.LessOrEqual(t, time.Since(began), 2*headStart+200*time.Millisecond, "it does not wait for the dead ones")
		})
	}
}

// A name server may be slow, and the agents at the addresses may start later.
func TestANewcomerCallsAllOfASmallFlockHoweverLateItMeetsThem(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		c := f.start(3, "10.9.0.1")
		time.Sleep(5 * time.Second)
		before := c.calls.Load()
		c.Seed([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"})
		f.until("it has joined", func() bool { return len(c.Peers()) == 4 })
		time.Sleep(headStart)
		synctest.Wait()
		require.EqualValues(t, 3, c.calls.Load()-before)
	})
}

// Two that join at once may do so through different agents. Rarely gossip misses one all the same.
func TestThoseWhoJoinASmallFlockAtOnceKnowEachOther(t *testing.T) {
	missed := 0
	for range 50 {
		inFlock(t, 3, func(t *testing.T, f *flock) {
			for i := range 5 {
				f.start(byte(3+i), "10.0.0.1", "10.0.0.2", "10.0.0.3")
			}
			time.Sleep(3 * time.Second)
			if slices.ContainsFunc(f.agents, func(a *testAgent) bool { return len(a.Peers()) < 8 }) {
				missed++
			}
		})
	}
	require.LessOrEqual(t, missed, 2)
}

// A stopped agent takes connections, and never answers.
func TestManySilentAddressesBeforeTheLiveOneCostAMoment(t *testing.T) {
	inFlock(t, 1, func(t *testing.T, f *flock) {
		join := []string{"10.0.0.1"}
		for i := range byte(10) {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, i}), seeds.DefaultPort)
			e, err := f.net.Listen(at)
			require.NoError(t, err)
			e.Receive(func([]byte, netip.AddrPort) {}, func(net.Conn) {})
			join = append(join, at.String())
		}
		for i := range byte(20) {
			began := time.Now()
			b := f.start(1+i, join...)
			f.until("it has joined", func() bool { return len(b.Peers()) == 2+int(i) })
			require.LessOrEqual(t, time.Since(began), 4*headStart+200*time.Millisecond)
		}
	})
}

// A lookup may be a command that asks a cloud.
func TestOneThatHasMetNobodyLooksNamesUpLessAndLess(t *testing.T) {
	inFlock(t, 1, func(t *testing.T, f *flock) {
		looks := filepath.Join(t.TempDir(), "looks")
		b := f.start(1, "exec:echo >>"+looks+"; echo 10.9.0.1")
		time.Sleep(eagerFor)
		require.True(t, b.Unanswered())
		done, err := os.ReadFile(looks)
		require.NoError(t, err)
		require.LessOrEqual(t, len(done), 15)
	})
}

// TestJoinTakesWhatAnswers calls a live address beside dead ones and what cannot
// be called at all.
func TestJoinTakesWhatAnswers(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		a := f.agents[0]
		began := time.Now()
		n, err := a.Join(t.Context(), []string{"10.0.0.1", "10.9.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2:3825"})
		require.NoError(t, err)
		require.Equal(t, 2, n, "this agent itself and an address that stands twice do not count")
		require.LessOrEqual(t, time.Since(began), 2*joinGrace, "it does not wait for the dead one")

		for words, want := range map[string]string{
			"10.0.0.1":    "join 10.0.0.1: that is this agent itself",
			"10.0.0.2:x":  `address "10.0.0.2:x": port "x": want 1 to 65535`,
			"exec:reboot": `address "exec:reboot": a command is for the agent's own --join`,
			"fe80::1":     "link-local",
		} {
			_, err := a.Join(t.Context(), []string{words})
			require.ErrorContains(t, err, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = a.Join(ctx, []string{"10.9.0.1"})
		require.ErrorContains(t, err, "join 10.9.0.1: nobody answered")
	})
}

func TestSeedsCanChange(t *testing.T) {
	inFlock(t, 1, func(t *testing.T, f *flock) {
		b := f.start(1, "10.9.0.1")
		time.Sleep(5 * time.Minute) // its pauses are long now
		began := time.Now()
		b.Seed([]string{"10.0.0.1"})
		f.until("b has joined", func() bool { return len(b.Peers()) == 2 })
		require.Less(t, time.Since(began), 5*time.Second, "new addresses are called at once")
	})
}
