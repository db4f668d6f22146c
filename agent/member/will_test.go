package member

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/wire"
)

func leavesWills(s *Settings) { s.Wills = true }

// dies ends a process at once and delivers its last wills, as its warden does.
func (a *testAgent) dies() {
	a.crash()
	a.deliverWills()
}

func (a *testAgent) deliverWills() {
	warden := netip.AddrPortFrom(a.addr().Addr(), 9)
	for _, datagrams := range a.wills {
		for _, l := range datagrams {
			body, err := wire.AppendFrame(nil, &l.Frame)
			require.NoError(a.f.t, err)
			got := &wire.Frame{}
			require.NoError(a.f.t, wire.DecodeFrame(body, got))
			a.f.after(testDelay, func() {
				if to := a.f.named(got.To); to.up {
					require.Equal(a.f.t, to.addr(), l.To)
					_, err := to.Receive(a.f.now, got, warden)
					require.NoError(a.f.t, err)
					to.fed = true
				}
			})
		}
	}
}

// willingFlock is three voters that leave wills.
func willingFlock(t *testing.T) *testFlock {
	f := newTestFlock(t)
	for range 3 {
		f.start(leavesWills)
	}
	f.voters(3)
	f.run(time.Second)
	return f
}

func TestRule12LastWillMakesAFailoverOfAFewRoundTrips(t *testing.T) {
	for _, wills := range []bool{true, false} {
		f := willingFlock(t)
		g := f.goose("")
		if !wills {
			clear(g.wills)
		}
		at := f.now
		g.dies()
		f.until(2*testLease, "another goose", func() bool { return f.leader("") != nil })
		if took := f.now - at; wills {
			require.Less(t, took, 12*testDelay)
		} else {
			require.Greater(t, took, testLease/2)
		}
		f.run(time.Second)
		f.goose("")
	}
}

// The address that a will comes from is not its agent's.
func TestALastWillTellsNoAddress(t *testing.T) {
	f := willingFlock(t)
	g := f.goose("")
	g.dies()
	f.run(5 * testDelay)
	for _, a := range f.agents {
		if a.up {
			addr, _ := a.Addr(g.me)
			require.Equal(t, g.addr(), addr)
		}
	}
}

// An agent may start again before its warden has sent all copies of its will.
func TestALastWillBehindARestartIsNoStaleDisk(t *testing.T) {
	f := willingFlock(t)
	g := f.goose("")
	left := g.wills
	g.crash()
	f.run(50 * time.Millisecond)
	g.begin()
	f.run(2 * time.Second)
	f.goose("")
	term := g.node().Record().Term
	g.wills = left
	g.deliverWills()
	f.run(time.Second)
	require.Equal(t, term, f.goose("").node().Record().Term, "nobody heeds it")
	for _, a := range f.agents {
		for _, e := range a.events {
			require.NotContains(t, []EventKind{EventStale, EventClone}, e.Kind)
		}
	}
}

func TestALastWillIsWrittenAtEachChangeAndNotBetween(t *testing.T) {
	f := willingFlock(t)
	g := f.goose("")
	require.Len(t, g.wills[""], 2)
	from := len(g.log)
	f.run(5 * time.Second)
	for _, e := range g.log[from:] {
		require.NotEqual(t, "will", e.kind, "nothing has changed")
	}
	other := g.other()
	other.crash()
	f.run(2 * time.Second)
	other.begin()
	f.gossip()
	f.run(time.Second)
	lives := map[uint64]bool{}
	for _, l := range g.wills[""] {
		lives[l.Frame.ToLife] = true
	}
	require.True(t, lives[other.set.Life], "a voter that has restarted is named by its new life")
	g.wills[""] = nil
	g.RenewWills()
	require.Len(t, g.wills[""], 2, "the host has lost it")

	next := f.stepDown("", other)
	require.Equal(t, other, next)
	f.run(time.Second)
	require.Empty(t, g.wills[""], "it does not lead any more")
	require.Len(t, other.wills[""], 2)
	require.Equal(t, other.node().Record().Term, other.wills[""][0].Frame.Messages[0].Term)
}

// A will stands before the lease that it is for, so that no death comes between.
func TestALastWillStandsBeforeItsFirstLease(t *testing.T) {
	f := newTestFlock(t)
	a := f.start(leavesWills)
	f.goose("")
	b := f.start(leavesWills)
	f.start(leavesWills)
	f.voters(3)
	require.Len(t, a.wills[""], 2)
	from := len(b.log)
	f.stepDown("", b)
	first := func(kind string) int {
		return slices.IndexFunc(b.log[from:], func(e effect) bool { return e.kind == kind })
	}
	require.NotEqual(t, -1, first("will"))
	require.Less(t, first("will"), first("grant"))
}

func TestWithoutWillsNothingIsLeft(t *testing.T) {
	f := flockOf(t, 3)
	f.run(time.Second)
	for _, a := range f.agents {
		require.Empty(t, a.wills)
	}
}
