package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

func TestTheFreezeOfTheHighestStampCounts(t *testing.T) {
	f := flockOf(t, 3)
	a := f.agents[0]
	for _, tt := range []struct {
		name   string
		notice FreezeNotice
		taken  bool
		left   time.Duration
		told   EventKind
	}{
		{"without a stamp", FreezeNotice{0, time.Minute}, false, 0, 0},
		{"a thaw of a flock that is not frozen", FreezeNotice{5, 0}, true, 0, EventThawed},
		{"a freeze", FreezeNotice{10, time.Minute}, true, time.Minute, EventFrozen},
		{"the same again", FreezeNotice{10, time.Hour}, false, time.Minute, 0},
		{"an older one", FreezeNotice{9, 0}, false, time.Minute, 0},
		{"a longer one", FreezeNotice{11, time.Hour}, true, time.Hour, EventFrozen},
		{"the longest", FreezeNotice{12, MaxFreeze + 1}, true, MaxFreeze, EventFrozen},
		{"a thaw", FreezeNotice{13, 0}, true, 0, EventThawed},
		{"less than nothing", FreezeNotice{14, -time.Hour}, true, 0, EventThawed},
		{"the last stamp", FreezeNotice{LastStamp, time.Minute}, true, time.Minute, EventFrozen},
		{"a stamp that nobody could outdo", FreezeNotice{LastStamp + 1, 0}, false, time.Minute, 0},
	} {
		a.events = nil
		require.Equal(t, tt.taken, a.TakeFreeze(tt.notice), tt.name)
		require.Equal(t, tt.left, a.FrozenFor(f.now), tt.name)
		if tt.told == 0 {
			require.Empty(t, a.events, tt.name)
			continue
		}
		require.Equal(t, []Event{{Kind: tt.told, For: tt.left}}, a.events, tt.name)
	}
	require.Zero(t, a.FrozenFor(f.now+2*time.Minute), "it ends by itself")
}

func TestANewFreezeIsStampedAboveEveryOneKnown(t *testing.T) {
	f := newTestFlock(t)
	a := f.start(func(s *Settings) { s.Joins = true })
	_, err := a.StampFreeze(1000, time.Minute)
	require.EqualError(t, err, string(NoFlock))

	f = newTestFlock(t)
	a = f.start()
	n, err := a.StampFreeze(1000, time.Minute)
	require.NoError(t, err)
	require.Equal(t, FreezeNotice{1000, time.Minute}, n)
	n, err = a.StampFreeze(-1, 0) // the wall clock is far behind
	require.NoError(t, err)
	require.EqualValues(t, 1001, n.Stamp)
	require.Zero(t, a.FrozenFor(f.now))
	require.EqualValues(t, 1001, a.Freeze().Stamp)
	require.True(t, a.TakeFreeze(FreezeNotice{LastStamp, time.Minute}))
	_, err = a.StampFreeze(1000, 0)
	require.EqualError(t, err, string(StampTooLarge))
	require.NotZero(t, a.FrozenFor(f.now))
}

func TestAFreezeSpreadsByGossipWithinItsFlock(t *testing.T) {
	f := flockOf(t, 3)
	heard := FreezeNotice{Stamp: 5000, Left: time.Hour}
	flock := f.agents[0].FlockID()
	f.agents[0].SetPeers([]Peer{
		{ID: election.ID{90}, State: Alive, Meta: Meta{FlockID: election.FlockID{90}, Freeze: heard}},
		{ID: election.ID{91}, State: Failed, Meta: Meta{FlockID: flock, Freeze: heard}},
		{ID: f.agents[0].me, State: Alive, Meta: Meta{FlockID: flock, Freeze: heard}},
	})
	require.Zero(t, f.agents[0].Freeze(), "of another flock, of one that is gone, and its own of a former life")
	_, err := f.agents[0].StampFreeze(1000, 90*time.Second)
	require.NoError(t, err)
	f.agents[0].fed = true
	f.run(time.Second)
	for _, a := range f.agents[1:3] {
		require.EqualValues(t, 1000, a.Freeze().Stamp)
		require.InDelta(t, 2*time.Minute, a.FrozenFor(f.now), float64(time.Second), "gossip rounds up to a minute")
		require.Len(t, a.told(EventFrozen), 1)
	}

	f.agents[2].crash()
	_, err = f.agents[0].StampFreeze(2000, 0)
	require.NoError(t, err)
	f.agents[0].fed = true
	f.run(time.Second)
	require.Zero(t, f.agents[1].FrozenFor(f.now))
	f.agents[2].begin() // its own gossip speaks of the freeze no more
	f.run(time.Second)
	require.EqualValues(t, 2000, f.agents[2].Freeze().Stamp, "a process that starts anew hears of it")
}

func TestGossipTellsAFreezeInStepsAndForgetsItAfterADay(t *testing.T) {
	f := newTestFlock(t)
	a := f.start()
	require.Zero(t, a.freezeNotice(f.now))
	start := f.now
	require.True(t, a.TakeFreeze(FreezeNotice{7, 12 * time.Minute}))
	for _, tt := range []struct{ after, left time.Duration }{
		{0, 15 * time.Minute},
		{2*time.Minute - 1, 15 * time.Minute},
		{2 * time.Minute, 10 * time.Minute},
		{2*time.Minute + 1, 10 * time.Minute},
		{11 * time.Minute, time.Minute},
		{12*time.Minute - 1, time.Minute},
		{12 * time.Minute, 0},
		{MaxFreeze - 1, 0},
	} {
		f.now = start + tt.after
		require.Equal(t, FreezeNotice{7, tt.left}, a.freezeNotice(f.now), "after %s", tt.after)
	}
	f.now = start + MaxFreeze
	require.Zero(t, a.freezeNotice(f.now), "whatever it ended is over everywhere")
}

func TestAFrozenFlockChangesNothingButWhatHeals(t *testing.T) {
	f := flockOf(t, 3, "x", "y")
	g := f.goose("")
	frozen, err := g.StampFreeze(1000, time.Hour)
	require.NoError(t, err)
	g.fed = true
	f.run(time.Second)
	why, done := g.stepDown("", nil, false)
	require.True(t, *done)
	var r *Refusal
	require.ErrorAs(t, *why, &r)
	require.Equal(t, FlockFrozen, r.Code)
	require.InDelta(t, frozen.Left, r.For, float64(2*time.Second))
	why, done = g.stepDown("", nil, true)
	f.until(5*time.Second, "forced", func() bool { return *done })
	require.NoError(t, *why)
	next := f.goose("")
	require.NotEqual(t, g.name, next.name)
	require.NotZero(t, next.FrozenFor(f.now))
	next.Stop(Stopped)
	next.fed = true
	f.until(5*time.Second, "stopped", func() bool { return !next.up })
	require.NotEmpty(t, next.told(EventHandedOver))
	require.NotEqual(t, next.name, f.goose("").name, "a stop hands over")
}
