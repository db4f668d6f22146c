package agent

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// oneLeavesAndComesBack cuts off two of five voters for so long that they are removed.
// A third leaves properly and comes back on the side of those two.
func (f *testFlock) oneLeavesAndComesBack() (goose, b, c, d, e string) {
	f.found(5)
	f.allAlive()
	goose, ducks := f.goose(), f.ducks()
	b, c, d, e = ducks[0], ducks[1], ducks[2], ducks[3]
	f.cut([]string{goose, b, c}, []string{d, e})
	f.until(3*time.Minute, "the two that are gone are no voters", func() bool {
		return len(f.agents[goose].Status().Config.Voters) == 3
	})
	f.leaves(c, false)
	for _, name := range []string{d, e} {
		require.NoError(f.t, f.agents[name].faults.Set(f.agents[goose].addr.String()+": cut; "+f.agents[b].addr.String()+": cut", 0))
	}
	for _, name := range []string{goose, b} {
		rules := f.agents[c].addr.String() + ": cut; " + f.agents[d].addr.String() + ": cut; " + f.agents[e].addr.String() + ": cut"
		require.NoError(f.t, f.agents[name].faults.Set(rules, 0))
	}
	f.start(c, joining(f.agents[d].addr.String()))
	return
}

// Its disk must still know the configs it has acknowledged. Otherwise it would elect by
// one that it helped to replace (rule 2).
func TestOneThatLeftElectsByNoConfigThatItHelpedToReplace(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.oneLeavesAndComesBack()
		f.sleep(time.Minute) // P2 is judged every millisecond
	})
}

// The same, but the old side hands over meanwhile: both win term 2 (P1, P3).
func TestOneThatLeftMakesNoSecondGooseOfOneTerm(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		goose, b, c, d, e := f.oneLeavesAndComesBack()
		if err := f.agents[goose].StepDown(context.Background(), b); err != nil {
			t.Logf("the old side keeps its goose: %v", err) // of two voters one is dropped, as no third is at hand
		}
		time.Sleep(10 * time.Second) // unchecked, or P2 would fail first
		tokens := map[uint64]string{}
		for _, name := range []string{goose, b, c, d, e} {
			if s := f.agents[name].Status(); s.Role == "goose" {
				require.Empty(t, tokens[s.Token], "%s and %s are goose with token %d of flock %s", tokens[s.Token], name, s.Token, s.FlockID)
				tokens[s.Token] = name
			}
		}
	})
}

// A sole voter leaves by force and comes back: only it can elect.
func TestSoleVoterThatWasForcedOutComesBackAsGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.start("b", joining("10.0.0.1"))
		f.settle(1)
		f.allAlive()
		f.leaves("a", true)
		f.sleep(time.Second)
		f.start("a", joining("10.0.0.2"))
		f.until(5*time.Minute, "a goose", func() bool { return f.goose() != "" })
	})
}

// A late answer to an earlier leave ended a later one before its removal.
func TestOldAnswerEndsNoLeave(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		c := f.ducks()[0]
		f.cut([]string{c}, []string{f.goose(), f.ducks()[1]}) // its Leave does not come through
		rec := f.record(c)
		goose, err := election.ParseID(f.agents[c].Status().Goose.ID)
		require.NoError(t, err)
		_, err = ask(context.Background(), f.agents[c].Agent, func(l *life, answer func(struct{}, error)) error {
			answer(struct{}{}, nil)
			if err := l.member.Leave(false, func(error) {}); err != nil {
				return err
			}
			m := election.Message{Kind: election.LeaveReply, Granted: true}
			m.FlockID, m.From, m.To, m.Start, m.Life, m.Seq = rec.FlockID, goose, l.id, 99, 1, 1
			m.Term, m.ConfigID = rec.Term-1, election.ConfigID{Term: rec.Term - 1, Version: 1} // of an older term and config
			frame := wire.Frame{FlockID: m.FlockID, From: m.From, To: m.To, Start: m.Start, Life: m.Life, Seq: m.Seq, Messages: []wire.Message{{Message: m}}}
			_, err := l.member.Receive(l.now(), &frame, netip.MustParseAddrPort("10.9.9.9:1"))
			if l.member.State().Left {
				t.Errorf("it left by an answer of term %d and config %v while at term %d, voter of config %v", m.Term, m.ConfigID, rec.Term, rec.Config.ConfigID)
			}
			return err
		})
		require.NoError(t, err)
	})
}

// A session whose caller is gone before the answer must not stay.
func TestAbandonedHoldLeavesNoHolder(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		ctx, cancel := context.WithCancel(context.Background())
		var agent atomic.Pointer[Agent]
		f.start("a", func(c *Config) {
			clock := c.Clock
			c.Clock = func() time.Duration {
				if a := agent.Load(); a != nil && a.main.Holders().Attached > 0 {
					cancel() // the caller goes while the loop takes its hold
					time.Sleep(time.Microsecond)
				}
				return clock()
			}
		})
		f.settle(1)
		a := f.agents["a"].Agent
		agent.Store(a)
		err := a.Lead(ctx, func(context.Context, Lease) error { t.Error("works"); return nil })
		require.ErrorIs(t, err, context.Canceled)
		agent.Store(nil)
		f.sleep(time.Second)
		require.Zero(t, a.main.Holders().Attached, "holders left behind; working %d", a.main.Holders().Working)
	})
}

// The same survivors after a second disaster.
func TestSecondRecoveryWithTheSameSurvivors(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.allAlive()
		f.sleep(3 * time.Second)
		for _, name := range f.live() {
			f.crash(name)
		}
		for _, name := range []string{"a", "b", "c"} {
			_, err := f.recover(name, "a", "b", "c")
			require.NoError(t, err)
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			f.start(name)
		}
		f.settle(5) // grown again
		f.sleep(3 * time.Second)
		for _, name := range f.live() {
			f.crash(name)
		}
		for _, name := range []string{"a", "b"} {
			_, err := f.recover(name, "a", "b")
			require.NoError(t, err)
		}
		for _, name := range []string{"a", "b"} {
			f.start(name)
		}
		f.agree()
		for _, name := range []string{"c", "d", "e"} {
			f.start(name)
		}
		f.settle(5)
		f.sleep(3 * time.Second)
		for _, name := range f.live() {
			f.crash(name)
		}
		for _, name := range []string{"a", "b"} {
			r, err := f.recover(name, "a", "b") // c, d and e are lost again
			require.NoError(t, err)
			require.False(t, r.Done, "%s: %+v", name, r)
		}
	})
}

func TestAnAgentThatCrashesRightAfterItJoinedKnowsWhereToCall(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a")
		f.settle(1)
		id := f.record("a").Config.Voters[0].ID
		f.start("b", joining("10.0.0.1"))
		f.until(time.Second, "b has joined", func() bool { return f.agents["b"].Status().Alive == 2 && f.agreed("b") })
		f.crash("b")
		b, err := New(f.config(f.agents["b"]))
		require.NoError(t, err)
		require.Equal(t, "a", b.disk.Names()[id])
	})
}

// Without --join it would found a flock of its own, beside the one whose agents it knew.
func TestAnAgentWithoutItsStateOnlyJoins(t *testing.T) {
	cfg := Config{Name: "a", DataDir: filepath.Join(t.TempDir(), "data"), Socket: NoSocket, Insecure: true}
	disk, err := store.Open(cfg.DataDir, nil)
	require.NoError(t, err)
	require.NoError(t, disk.SavePeers([]store.Peer{{Name: "a", Addr: "127.0.0.1:1"}, {Name: "b", Addr: "127.0.0.1:2"}}))
	require.NoError(t, disk.Close())
	require.NoError(t, os.Remove(filepath.Join(cfg.DataDir, store.StateFile)))
	_, err = New(cfg)
	require.ErrorIs(t, err, store.ErrMissing)
	cfg.Join = []string{"127.0.0.1:9"}
	a, err := New(cfg)
	require.NoError(t, err)
	require.NoError(t, a.Close())
}
