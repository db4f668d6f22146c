//go:build linux

package run

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
)

// fakeActor acts until it is killed, and notes when what was asked of it.
type fakeActor struct {
	began   time.Time
	stops   time.Duration // how long stop is busy
	dies    int           // the kill that it dies of
	stopped time.Duration
	kills   []time.Duration
	ended   chan outcome
	news    chan struct{}
}

var _ actor = (*fakeActor)(nil)

func (a *fakeActor) start([]string) <-chan outcome { return a.ended }

func (a *fakeActor) stop() {
	a.stopped = time.Since(a.began)
	time.Sleep(a.stops) // in virtual time
}

func (a *fakeActor) kill() {
	a.kills = append(a.kills, time.Since(a.began))
	if len(a.kills) == a.dies {
		a.ended <- outcome{code: 137}
		tell(a.news)
	}
}

func (a *fakeActor) gone() bool                                     { return len(a.kills) >= a.dies }
func (a *fakeActor) changed() <-chan struct{}                       { return a.news }
func (a *fakeActor) killTime(func(int) time.Duration) time.Duration { return 0 }
func (a *fakeActor) describe(*client.HoldOptions)                   {}

// endingLease ends a lease's length after it began.
type endingLease struct {
	lead.Lease
	began time.Time
}

var _ lead.Lease = endingLease{}

func (l endingLease) Token() uint64        { return 7 }
func (l endingLease) Until() time.Duration { return leaseLength - time.Since(l.began) }

// endLease lets an actor act until the lease ends, unrenewed.
func endLease(t *testing.T, a *fakeActor, grace time.Duration) (code int) {
	t.Helper()
	a.began, a.ended, a.news = time.Now(), make(chan outcome, 1), make(chan struct{}, 1)
	l, theirs, err := newPair()
	require.NoError(t, err)
	defer theirs.Close()
	defer l.close()
	g := &guard{hello: hello{Work: Work{Grace: grace}}, actor: a, link: l, late: &lateness{clock: boottime.Now}, hurry: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), share(leaseLength, 1-termLeft))
	defer cancel()
	return g.once(ctx, endingLease{began: a.began}, leaseLength, nil)
}

func TestKillComesWhenTheLeaseSaysThoughStopIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeActor{stops: time.Minute, dies: 2}
		require.Equal(t, 137, endLease(t, a, time.Hour))
		require.Equal(t, share(leaseLength, 1-termLeft), a.stopped)
		require.Equal(t, []time.Duration{share(leaseLength, 1-killLeft), share(leaseLength, 1-killLeft) + time.Millisecond}, a.kills)
	})
}

func TestKillComesWhenTheGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fakeActor{dies: 1}
		require.Equal(t, 137, endLease(t, a, time.Millisecond))
		require.Equal(t, []time.Duration{share(leaseLength, 1-termLeft) + time.Millisecond}, a.kills)
	})
}

func TestNoCommandStartsAfterItWasKilled(t *testing.T) {
	b := &subtree{reaper: newReaper(), jobs: make(chan func()), poke: make(chan struct{}, 1)}
	c := &command{b, []string{self(t)}}
	outcomes := c.start(nil)
	require.False(t, c.gone(), "a start is under way")
	job := <-b.jobs // which a starved machine has not come to
	c.barred.Store(true)
	require.False(t, c.gone())
	job()
	require.ErrorIs(t, (<-outcomes).err, errBarred)
	require.True(t, c.gone())
}

// crowd is many processes, which all die of the first kill and end one by one.
type crowd struct {
	left, kills int
	news        chan struct{}
}

func (c *crowd) kill()                    { c.kills++ }
func (c *crowd) gone() bool               { c.left--; return c.left < 0 }
func (c *crowd) changed() <-chan struct{} { return c.news }

func TestThoseWhoEndOneByOneAreNotKilledAgainEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{left: 1000, news: make(chan struct{})}
		close(c.news) // there is always news
		passes := 0
		killUntilGone(c, func() { passes++ })
		require.Equal(t, 1, c.kills)
		require.Greater(t, passes, 900, "whoever watches hears each time that it goes on")
	})
}
