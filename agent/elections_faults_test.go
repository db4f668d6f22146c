package agent

import (
	"context"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// onLoop runs f on an agent's loop.
func (f *testFlock) onLoop(name string, do func(*life)) {
	f.t.Helper()
	_, err := ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
		do(l)
		answer(struct{}{}, nil)
		return nil
	})
	require.NoError(f.t, err)
}

// A recovery founds all elections anew, and its table may look like the old one.
func TestOneThatMissedARecoveryTakesPartInItsElections(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(2 * time.Second)
		table := f.record("a").Config.Table
		for _, name := range []string{"a", "b", "c"} {
			f.crash(name)
		}
		for _, name := range []string{"a", "b"} {
			_, err := f.recover(name, "a", "b")
			require.NoError(t, err)
		}
		for _, name := range []string{"a", "b"} {
			f.start(name, contesting("x"))
		}
		f.allLed("x")
		require.Equal(t, table, f.record("a").Config.Table, "only the generation tells them apart")
		f.start("c", contesting("x"))
		f.until(time.Minute, "c follows", func() bool { return f.agreedOn("x") && f.agreed(f.live()...) })
		require.EqualValues(t, 1, f.statusOf("c", "x").Generation)
		f.until(time.Minute, "it votes again", func() bool { return f.votersOf(f.gooseOf("x"), "x") == 3 })

		var st store.State
		f.onLoop("c", func(l *life) { st = l.disk.State() })
		require.EqualValues(t, 1, st.Elections[1].Record.Generation.Number)
	})
}

// What strangers send is answered, and then forgotten.
func TestStrangersTakeNoPlaceInTheOutbox(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		rec := f.record("a")
		for range 20 {
			f.onLoop("a", func(l *life) {
				for range 200 {
					m := election.Message{Kind: election.PreVoteRequest, NextTerm: rec.Term + 1, Header: election.Header{
						FlockID: rec.FlockID, Generation: rec.Generation, To: l.id, Term: rec.Term, ConfigID: rec.Config.ConfigID,
					}}
					_, _ = rand.Read(m.From[:])
					a := l.inbox.free.Get().(*arrival)
					a.Frame = wire.Frame{FlockID: rec.FlockID, From: m.From, To: l.id, Start: 1, Life: 1, Seq: 1, Messages: []wire.Message{{Message: m}}}
					a.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, 9}), 1)
					require.NoError(t, l.receive(a))
				}
			})
		}
		f.sleep(time.Second)
		f.onLoop("a", func(l *life) { require.LessOrEqual(t, len(l.outbox.parcels), parcelsKept) })
	})
}

// What was promised in any election is kept when a recovery ends it.
func TestRecoveryKeepsThePromisesOfAllElections(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(2 * time.Second)
		f.crash("a")
		disk, err := store.Open("/data", f.agents["a"].disk)
		require.NoError(t, err)
		st := disk.State()
		st.Elections[1].Record.PromiseMax = 5 * time.Second
		require.NoError(t, disk.Save(st))
		r, err := planRecovery(disk, []string{"a"})
		require.NoError(t, err)
		rec, _ := recordOf(r.next)
		require.Equal(t, 5*time.Second, rec.PromiseMax)
		require.NoError(t, disk.Close())
	})
}
