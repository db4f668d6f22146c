package autopilot

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// prefers makes an agent a voter of this priority that asks to take over after
// a minute.
func (f *flock) prefers(name string, priority uint8) {
	m := f.member(name)
	m.Priority, m.PreemptAfter = priority, time.Minute
	f.view.Config = f.view.Config.With(election.Voter{ID: m.ID, Priority: priority})
}

// preempts lets time pass until somebody is asked to take over: who, and when.
func (f *flock) preempts(p *Preemption, d time.Duration) (who string, at time.Duration) {
	for end := f.now + d; f.now < end; f.now += 200 * time.Millisecond {
		if heir, due := p.Decide(f.now, f.view); due {
			p.Ask(f.now, heir.ID)
			return string(heir.ID[:1]), f.now
		}
	}
	return "", 0
}

func TestWhoTakesOverForItsPriority(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(f *flock)
		want    string // who is asked within two minutes
		at      time.Duration
	}{
		"nobody asks to":       {func(f *flock) { f.prefers("b", 200); f.member("b").PreemptAfter = 0 }, "", 0},
		"one of a higher":      {func(f *flock) { f.prefers("b", 101) }, "b", time.Minute},
		"not one of the same":  {func(f *flock) { f.prefers("b", 100) }, "", 0},
		"not one of a lower":   {func(f *flock) { f.prefers("b", 99) }, "", 0},
		"the highest of them":  {func(f *flock) { f.prefers("b", 150); f.prefers("c", 200) }, "c", time.Minute},
		"as soon as it wants":  {func(f *flock) { f.prefers("b", 200); f.member("b").PreemptAfter = time.Second }, "b", time.Second},
		"never one that waits": {func(f *flock) { f.prefers("b", 200); f.member("b").PreemptAfter = time.Hour }, "", 0},
		"the highest is waited for": {func(f *flock) {
			f.prefers("b", 150)
			f.prefers("c", 200)
			f.member("c").PreemptAfter = 90 * time.Second
		}, "c", 90 * time.Second},
		"not an observer yet":     {func(f *flock) { f.prefers("b", 200); f.view.Config = f.view.Config.Without(id("b")) }, "", 0},
		"not one that is to go":   {func(f *flock) { f.prefers("b", 200); f.member("b").Observer = true }, "", 0},
		"not one that leaves":     {func(f *flock) { f.prefers("b", 200); f.member("b").Leaving = true }, "", 0},
		"not one that is forced":  {func(f *flock) { f.prefers("b", 200); f.member("b").Forced = true }, "", 0},
		"not a dead one":          {func(f *flock) { f.prefers("b", 200); f.dies("b") }, "", 0},
		"not one without acks":    {func(f *flock) { f.prefers("b", 200); f.member("b").Acks = false }, "", 0},
		"not what is no priority": {func(f *flock) { f.prefers("b", 200); f.member("b").Priority = 90 }, "", 0}, // the config follows
		"not before it is one":    {func(f *flock) { f.prefers("b", 90); f.member("b").Priority = 200 }, "", 0},
		"not from one that rises": {func(f *flock) { f.prefers("b", 200); f.member("a").Priority = 200 }, "", 0},
		"not amid a change":       {func(f *flock) { f.prefers("b", 200); f.view.Committed = false }, "", 0},
		"not while frozen":        {func(f *flock) { f.prefers("b", 200); f.view.Frozen = true }, "", 0},
		"not by one that leaves":  {func(f *flock) { f.prefers("b", 200); f.member("a").Leaving = true }, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := of(t, "abc", "abc")
			c.prepare(f)
			who, at := f.preempts(&Preemption{}, 2*time.Minute)
			require.Equal(t, c.want, who)
			require.Equal(t, c.at, at)
		})
	}
}

func TestOneThatWasUnsteadyBeginsAnew(t *testing.T) {
	for name, blink := range map[string]func(*flock, bool){
		"alive": func(f *flock, on bool) { f.member("b").Alive = on },
		"acks":  func(f *flock, on bool) { f.member("b").Acks = on },
		"a voter": func(f *flock, on bool) {
			if !on {
				f.vote("ac")
				return
			}
			f.prefers("b", 200)
		},
		"known": func(f *flock, on bool) {
			if !on {
				f.view.Members = f.view.Members[:1]
				return
			}
			f.view.Members = of(f.t, "abc", "").view.Members
			f.prefers("b", 200)
		},
		"this term": func(f *flock, on bool) { f.view.Term++ },
	} {
		t.Run(name, func(t *testing.T) {
			f := of(t, "abc", "abc")
			f.prefers("b", 200)
			var p Preemption
			who, _ := f.preempts(&p, 50*time.Second)
			require.Empty(t, who)
			blink(f, false)
			who, _ = f.preempts(&p, 200*time.Millisecond)
			require.Empty(t, who)
			blink(f, true)
			began := f.now
			who, at := f.preempts(&p, 2*time.Minute)
			require.Equal(t, "b", who)
			require.InDelta(t, time.Minute.Seconds(), (at - began).Seconds(), 0.2)
		})
	}
}

func TestOneThatWasAskedIsNotAskedAgainForFiveMinutes(t *testing.T) {
	f := of(t, "abc", "abc")
	f.prefers("b", 200)
	var p Preemption
	_, first := f.preempts(&p, 2*time.Minute)
	f.view.Term += 2 // it failed, and this one is the goose again
	heir, due := p.Decide(f.now, f.view)
	require.False(t, due)
	require.Equal(t, Heir{ID: id("b"), Priority: 200, After: time.Minute, At: first + TriedLately, Asked: true}, heir)
	who, again := f.preempts(&p, 10*time.Minute)
	require.Equal(t, "b", who)
	require.Equal(t, TriedLately, again-first)

	f.prefers("c", 150) // a lower one is not kept from it
	f.view.Term++
	who, at := f.preempts(&p, 10*time.Minute)
	require.Equal(t, "c", who)
	require.InDelta(t, time.Minute.Seconds(), (at - again).Seconds(), 0.5)
}

func TestWhatIsFrozenIsStillHealed(t *testing.T) {
	f := of(t, "abcd", "abc")
	f.view.Frozen = true
	f.member("b").Priority = 200
	require.Empty(t, f.after(time.Minute), "no other priority")
	f.dies("c")
	require.Equal(t, "-c+d", f.after(time.Minute))
	f.view.Frozen = false
	require.Equal(t, "~b", f.after(time.Second))
	f.view.Frozen = true
	f.member("d").Leaving = true
	require.Equal(t, "-d-b", f.after(time.Second), "as it would be otherwise")
}
