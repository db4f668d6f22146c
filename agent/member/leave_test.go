package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// refusedBy requires that a command was refused with a code.
func refusedBy(t *testing.T, code Code, err error) {
	t.Helper()
	var r *Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, code, r.Code)
}

// leaves begins to leave, and returns the result.
func (a *testAgent) leaves(force bool) (err *error, done *bool) {
	err, done = new(error), new(bool)
	require.NoError(a.f.t, a.Leave(force, func(why error) { *err, *done = why, true }))
	a.fed = true
	return err, done
}

func TestADuckThatLeavesIsNoVoterBeforeItGoes(t *testing.T) {
	f := flockOf(t, 5)
	d := f.duck()
	err, done := d.leaves(false)
	again, _ := d.leaves(false)
	refusedBy(t, LeavingAlready, *again)
	f.until(20*time.Second, "left", func() bool { return *done })
	require.NoError(t, *err)
	require.True(t, d.saved.Left)
	voters := f.goose("").config("")
	require.False(t, voters.Has(d.me))
	f.until(time.Second, "its life ends", func() bool { return !d.up })
	require.True(t, d.meta.Left)
}

// The leaver's own term does not matter any more: the flock may never hear of it (rule
// 7).
func TestALeaverThatIsAheadOfItsGooseGoes(t *testing.T) {
	f := flockOf(t, 5)
	d := f.duck()
	f.lost = func(from, to *testAgent, msg *wire.Message) bool { return to == d && msg.Kind == election.LeaveReply }
	_, done := d.leaves(false)
	f.until(20*time.Second, "removed, and not told", func() bool { c := d.config(""); return !c.Has(d.me) })
	ahead := wire.Message{Message: election.Message{Kind: election.Reject, Header: d.Default().header(d.me)}}
	ahead.From, ahead.Term = f.goose("").me, ahead.Term+200
	require.NoError(t, d.receiveMessage(&ahead))
	require.Equal(t, ahead.Term, d.node().Record().Term)
	d.fed = true
	f.run(time.Second)
	require.False(t, *done)
	f.lost = nil
	f.until(5*time.Second, "left", func() bool { return *done })
}

func TestAGooseThatLeavesHandsOverFirst(t *testing.T) {
	f := flockOf(t, 5)
	g := f.goose("")
	err, done := g.leaves(false)
	f.until(30*time.Second, "left", func() bool { return *done })
	require.NoError(t, *err)
	require.NotEqual(t, g.name, f.goose("").name)
}

func TestALeaveThatWouldEndTheFlockIsRefused(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	f.run(time.Second)
	err, _ := a.leaves(false)
	refusedBy(t, LastAgent, *err)

	f = flockOf(t, 3)
	g, d := f.goose(""), f.duck()
	for _, b := range f.agents {
		if b != g && b != d {
			b.crash()
		}
	}
	f.run(2 * time.Second)
	err, done := d.leaves(false)
	f.until(2*time.Second, "refused", func() bool { return *done })
	refusedBy(t, CostsMajority, *err)
	g.crash()
	f.run(3 * time.Second)
	err, done = d.leaves(true)
	require.True(t, *done)
	require.NoError(t, *err, "by force")
}

// Gossip takes seconds to notice a death. The goose notices within a lease, and reports
// it.
func TestALeaveIsRefusedSoonAfterADeath(t *testing.T) {
	for _, who := range []string{"goose", "duck"} {
		f := flockOf(t, 3)
		g := f.goose("")
		duck := g.other()
		for _, a := range f.agents {
			if a != g && a != duck {
				a.up = false // and gossip does not notice
			}
		}
		leaver := map[string]*testAgent{"goose": g, "duck": duck}[who]
		f.run(leaveSilent*testLease + 2*election.AgeUnit)
		err, done := leaver.leaves(false)
		f.until(2*time.Second, who, func() bool { return *done })
		refusedBy(t, CostsMajority, *err)
	}
}

// Gossip takes seconds to notice that agents are back, and a new goose may not have heard
// of all voters yet.
func TestALeaveIsNotRefusedForWhatHasJustHealed(t *testing.T) {
	f := flockOf(t, 5)
	g, d := f.goose(""), f.duck()
	for _, a := range f.agents {
		if a != g && a != d {
			a.state = Failed
		}
	}
	f.gossip()
	err, done := d.leaves(false)
	f.until(5*time.Second, "left: the voters answer, whatever gossip says", func() bool { return *done })
	require.NoError(t, *err)

	f = flockOf(t, 5)
	g, d = f.goose(""), f.duck()
	cut := true
	f.lost = func(from, to *testAgent, _ *wire.Message) bool { return cut && (from == g) != (to == g) }
	f.run(3 * testLease / 2)
	cut = false
	f.until(5*time.Second, "the leaver knows of a goose", func() bool { goose, _ := d.Default().Goose(f.now); return !goose.IsZero() })
	err, done = d.leaves(false)
	f.until(5*time.Second, "left", func() bool { return *done })
	require.NoError(t, *err)
}

func TestALeaveUnderWayIsRefusedWhenAVoterDies(t *testing.T) {
	f := flockOf(t, 3)
	d := f.duck()
	f.lost = func(_, _ *testAgent, m *wire.Message) bool { return m.Kind == election.Leave }
	err, done := d.leaves(false)
	f.run(time.Second)
	require.False(t, *done)
	for _, a := range f.agents {
		if a != d && a != f.goose("") {
			a.up = false
			break
		}
	}
	f.until(3*time.Second, "refused", func() bool { return *done })
	refusedBy(t, CostsMajority, *err)
	require.False(t, d.saved.Left)
}

// A late or repeated reply, or one of another goose, ends no leave.
func TestOnlyThePresentGoosesNewestWordEndsALeave(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *testFlock, d *testAgent, m *wire.Message)
		out    bool
	}{
		{"removed", func(*testFlock, *testAgent, *wire.Message) {}, true},
		{"not granted", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.Granted = false }, false},
		{"of another agent", func(f *testFlock, d *testAgent, m *wire.Message) {
			for _, o := range f.agents {
				if o != d && o.me != m.From {
					m.From = o.me
					break
				}
			}
		}, false},
		{"of another generation", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.Generation.Number++ }, false},
		{"of an older term", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.Term-- }, false},
		{"of an older config", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.ConfigID.Version -= 2 }, false},
		{"of a config that has it", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.ConfigID.Version-- }, false},
		{"a replay", func(_ *testFlock, _ *testAgent, m *wire.Message) { m.Seq-- }, false},
	} {
		f := flockOf(t, 5)
		d := f.duck()
		f.lost = func(_, to *testAgent, m *wire.Message) bool { return to != d && m.Kind == election.Leave }
		_, done := d.leaves(false)
		f.run(time.Second)
		rec := d.node().Record()
		id, _ := d.Default().goose()
		m := wire.Message{Message: election.Message{Kind: election.LeaveReply, Granted: true, Header: d.Default().header(d.me)}}
		m.From, m.Term, m.Seq = id, rec.Term, d.addresses.pages[id].seq
		m.ConfigID.Version++
		tt.change(f, d, &m)
		require.NoError(t, d.receiveMessage(&m), tt.name)
		require.Equal(t, tt.out, *done, tt.name)
	}
	f := flockOf(t, 3)
	d := f.duck()
	m := wire.Message{Message: election.Message{Kind: election.LeaveReply, Granted: true, Header: d.Default().header(d.me)}}
	require.NoError(t, d.receiveMessage(&m))
	require.False(t, d.saved.Left, "it did not ask")
}

func TestAForcedLeave(t *testing.T) {
	f := flockOf(t, 5)
	g, d := f.goose(""), f.duck()
	force := func(by *testAgent, id election.ID) (err *error, done *bool) {
		err, done = new(error), new(bool)
		by.ForceLeave(id, func(why error) { *err, *done = why, true })
		by.fed = true
		return err, done
	}
	err, _ := force(d, g.me)
	refusedBy(t, NotGoose, *err)
	err, _ = force(g, g.me)
	refusedBy(t, IsSelf, *err)
	err, _ = force(g, d.me)
	refusedBy(t, IsAlive, *err)
	d.crash()
	f.run(2 * time.Second)
	first, _ := force(g, d.me)
	err, done := force(g, d.me)
	refusedBy(t, ForcedAgain, *first)
	f.until(forceFor, "forced out", func() bool { return *done })
	require.NoError(t, *err)
	voters := g.config("")
	require.False(t, voters.Has(d.me))
	require.Equal(t, Left, d.state, "gossip knows")
}

func TestAForcedLeaveEndsInTimeWhenTheOthersAreSilent(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	gone := g.other()
	gone.crash()
	f.run(2 * time.Second)
	err, done := new(error), new(bool)
	g.ForceLeave(gone.me, func(why error) { *err, *done = why, true })
	f.lost = func(_, to *testAgent, m *wire.Message) bool { return to == g }
	g.fed = true
	f.until(forceFor+2*time.Second, "refused", func() bool { return *done })
	refusedBy(t, NotGoose, *err)
}
