package agent

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// bound returns until when holders bind an agent.
func (f *testFlock) bound(name string) (until time.Duration) {
	f.onLoop(name, func(l *life) { until = l.node().HandedTo() })
	return until
}

func TestHoldersThatWorkAloneTakeTurns(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		a := f.agents[goose]
		e := a.byDefault()
		hold := func(pid int, alone string) *holder {
			h := e.newHolder("test")
			h.pid, h.alone = pid, alone
			require.NoError(t, f.await(func() error { return e.hold(context.Background(), h) }))
			f.sleep(time.Second)
			return h
		}
		token := func(h *holder) uint64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.mu.token
		}
		period := a.Status().Token
		one := hold(1, api.DefaultKind)
		require.Equal(t, period, token(one))
		two, unknown := hold(2, api.DefaultKind), hold(0, api.DefaultKind)
		require.Zero(t, token(two), "another works")
		require.Zero(t, token(unknown), "another works, for all that is known")
		e1, _ := two.Next()
		require.Equal(t, &api.Waiting{Here: "another ddgoose run works beside this agent", PID: 1}, e1.Waiting)
		_, more := two.Next()
		require.False(t, more, "it is said once")
		unknown.Close()
		require.Equal(t, period, token(hold(3, "")), "one that shares")
		require.Equal(t, period, token(hold(4, "ddgoose vip")), "one of another kind")
		require.Equal(t, period, token(hold(1, api.DefaultKind)), "a new connection of the same process")

		one.Drained(period, api.ThenWait)
		f.sleep(time.Second)
		require.Zero(t, token(two), "its other connection has not drained")
		var ones []*holder
		e.at.holders.each(func(h *holder) {
			if h.pid == 1 {
				ones = append(ones, h)
			}
		})
		for _, h := range ones {
			h.Close()
		}
		f.sleep(time.Second)
		require.Equal(t, goose, f.goose())
		require.Equal(t, period, token(two), "its turn, in the same period")
	})
}

// Rule 12: a holder drains only its own work. The agent stays bound while another
// holder works.
func TestRule12OneHoldersEndReleasesNobodyElse(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		a := f.agents[goose]
		e := a.byDefault()
		hold := func() *holder {
			h := e.newHolder("test")
			require.NoError(t, f.await(func() error { return e.hold(context.Background(), h) }))
			return h
		}
		one, two := hold(), hold()
		f.sleep(time.Second)
		token := a.Status().Token
		require.Equal(t, 2, e.at.Holders().Working)
		require.Greater(t, f.bound(goose), f.clock())

		f.onLoop(goose, func(l *life) { // the lease has ended, and the holders have not heard
			l.node().Step(l.now(), election.ClockJump{}, &election.Effects{})
		})
		one.Close()
		require.Equal(t, 1, e.at.Holders().Working)
		require.Greater(t, f.bound(goose), f.clock(), "the other acts")
		f.sleep(100 * time.Millisecond)

		two.Drained(token-1, api.ThenStepDown)
		require.Equal(t, 1, e.at.Holders().Working, "a former period's end says nothing of this one")
		require.Equal(t, goose, f.goose())

		two.Drained(token, api.ThenWait)
		two.Close()
		require.Zero(t, e.at.Holders().Attached)
		require.Zero(t, f.bound(goose), "nobody acts any more, and the node knows")
	})
}

func TestHoldersAreShown(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(1)
		a := f.agents["a"].Agent
		require.Empty(t, a.Status().Holders)
		var kinds []string
		go func() {
			for s := range a.Watch(t.Context()) {
				if n := len(s.Holders); n > 0 && n != len(kinds) {
					kinds = append(kinds, s.Holders[n-1].Kind)
				}
			}
		}()
		b := newBackend(a)
		peers := []api.LeadPeer{{PID: 1}, {PID: 2, Work: "vip", Ends: "removal"}}
		var all []api.Holder
		for _, peer := range peers {
			h, err := b.Lead(t.Context(), peer)
			require.NoError(t, err)
			all = append(all, h)
			f.sleep(2 * time.Second)
		}
		shown := a.Status().Holders
		require.Len(t, shown, 2)
		require.Equal(t, api.WorkHolder{Kind: "Lead", Since: shown[0].Since}, shown[0])
		require.Equal(t, api.WorkHolder{Kind: "vip", Ends: "removal", Since: shown[1].Since}, shown[1])
		require.Equal(t, 2*time.Second, shown[1].Since.Sub(shown[0].Since))
		require.Equal(t, []string{"Lead", "vip"}, kinds)
		all[0].Close()
		f.sleep(time.Second)
		require.Equal(t, shown[1:], a.Status().Holders)
	})
}

// A holder that promised to answer, and has been silent for a lease, keeps the goose
// only until another agent has work.
func TestHolderThatAnswersNothingLosesTheGooseToOtherWork(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose := f.goose()
		a, other := f.agents[goose].Agent, f.ducks()[0]
		h, err := newBackend(a).Lead(t.Context(), api.LeadPeer{PID: 1, Grace: time.Hour, Work: "vip", Acks: true})
		require.NoError(t, err)
		token := a.Status().Token
		for range 20 { // it answers, but rarely
			f.sleep(400 * time.Millisecond)
			h.Answered()
		}
		require.True(t, a.Status().Work)
		f.sleep(10 * time.Second) // now it is stopped
		require.Equal(t, token, a.Status().Token, "nobody else has work")
		f.warns(0, goose, "vip (process 1) has not answered for a lease")
		h.Answered()
		f.until(time.Second, "it goes on", func() bool { return a.Status().Work })
		require.NotContains(t, strings.Join(a.Status().Warnings, " "), "answered")

		w, _ := f.lead(t.Context(), other, 0)
		f.sleep(2 * a.cfg.Lease)
		bound := f.bound(goose)
		f.until(5*time.Second, "the other works", w.running.Load)
		require.Greater(t, f.clock(), bound, "it may have acted until then")
		require.Greater(t, w.token.Load(), token)
		f.sleep(5 * time.Second)
		require.Equal(t, other, f.goose())
		e, ok := h.Next()
		require.True(t, ok, "when it goes on it hears its end")
		for ; e.Stop == ""; e, ok = h.Next() {
			require.True(t, ok)
		}
		h.Drained(token, api.ThenWait)
		f.until(time.Second, "it counts as work again", func() bool { return a.Status().Work })
		h.Close()
	})
}

// A pause of the agent itself does not count as the holder's silence.
func TestAPausedAgentBlamesNoHolder(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(1)
		a := f.agents["a"].Agent
		e := a.byDefault()
		h := e.newHolder("test")
		h.acks = true
		require.NoError(t, f.await(func() error { return e.hold(t.Context(), h) }))
		h.mu.Lock()
		defer h.mu.Unlock()
		h.mu.asked -= time.Hour
		h.count()
		require.Less(t, h.mu.quiet, a.cfg.Lease/2)
		require.False(t, h.silent())
	})
}

// Work that cannot be killed keeps the goose, stopped or not: it may still act.
func TestSilentWorkThatMayStillActIsKilledOrKeepsTheGoose(t *testing.T) {
	for _, killable := range []bool{true, false} {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.found(3)
			goose, other := f.goose(), f.ducks()[0]
			a := f.agents[goose].Agent
			attached, err := newBackend(a).Lead(t.Context(), api.LeadPeer{PID: 1, Acks: true, Cgroup: t.TempDir()})
			require.NoError(t, err)
			var killed atomic.Bool
			if h := attached.(*holder); killable {
				h.mu.Lock()
				h.acks, h.kill = true, func() error { killed.Store(true); return nil }
				h.mu.Unlock()
			}
			w, _ := f.lead(t.Context(), other, 0)
			if !killable {
				f.sleep(20 * time.Second)
				require.False(t, w.running.Load())
				require.Equal(t, goose, f.goose())
			} else {
				f.until(5*time.Second, "killed", func() bool {
					require.False(t, w.running.Load())
					return killed.Load()
				})
				f.until(5*time.Second, "the other works", w.running.Load)
			}
			attached.Close()
		})
	}
}

// A kill may fail, for example for lack of a file descriptor. No other work starts
// before one has succeeded.
func TestSilentWorkThatIsNotKilledAtOnceIsKilledBeforeTheGooseGoes(t *testing.T) {
	for _, end := range []string{"hand-over", "death"} {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.found(3)
			goose, other := f.goose(), f.ducks()[0]
			a := f.agents[goose].Agent
			attached, err := newBackend(a).Lead(t.Context(), api.LeadPeer{PID: 1, Acks: true, Alone: "run", Grace: time.Hour})
			require.NoError(t, err)
			const fails = 20
			var tries atomic.Int32
			h := attached.(*holder)
			h.mu.Lock()
			h.kill = func() error {
				if tries.Add(1) <= fails {
					return errors.New("too many open files")
				}
				return nil
			}
			h.mu.Unlock()
			w, _ := f.lead(t.Context(), other, 0)
			if end == "death" {
				f.await(func() error { attached.Died(); attached.Close(); return nil })
				require.EqualValues(t, fails+1, tries.Load())
				return
			}
			f.until(5*time.Second, "killed", func() bool {
				require.False(t, w.running.Load())
				return tries.Load() > fails
			})
			f.until(5*time.Second, "the other works", w.running.Load)
			attached.Close()
		})
	}
}
