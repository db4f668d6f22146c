package founding

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// meeting is agents that found a flock, over a network that loses and delays,
// with disks that keep what was saved. It does what the loop does.
type meeting struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Duration
	loss   float64
	agents []*participant
	queue  []parcel
	steps  int // effects carried out so far, by all
	// crashAt crashes whoever carries out that effect, before it; restart follows.
	crashAt int
}

type participant struct {
	fresh   Fresh
	expect  int
	founder *Founder // nil: bound
	durable store.Founding
	bound   election.FlockID
	found   *election.Record // it was the one that founded
	down    time.Duration    // dead until then
	gone    bool             // for good
}

type parcel struct {
	at       time.Duration
	from, to election.ID
	word     wire.Founding
}

func newMeeting(t *testing.T, n, expect int) *meeting {
	m := &meeting{t: t, rng: rand.New(rand.NewPCG(1, uint64(n))), crashAt: -1}
	for i := range n {
		m.add(i, expect)
	}
	return m
}

func (m *meeting) add(i, expect int) *participant {
	p := &participant{fresh: Fresh{ID: election.ID{byte(i + 1)}, Name: string(rune('a' + i)), Expect: expect, Priority: 100}, expect: expect}
	p.start()
	m.agents = append(m.agents, p)
	return p
}

func (p *participant) start() {
	p.founder = nil
	if p.bound.IsZero() {
		p.founder = New(Settings{Self: p.fresh.ID, Expect: p.expect, Voters: 5}, p.durable)
	}
}

func (m *meeting) alive(p *participant) bool { return !p.gone && m.now >= p.down }

// view is gossip's: the live agents bound to no flock.
func (m *meeting) view() (fresh []Fresh) {
	for _, p := range m.agents {
		if m.alive(p) && p.bound.IsZero() {
			fresh = append(fresh, p.fresh)
		}
	}
	return fresh
}

// perform carries effects out in their order, and crashes where it is told to.
func (m *meeting) perform(p *participant, fx Effects) {
	crash := func() bool {
		m.steps++
		if m.steps-1 != m.crashAt {
			return false
		}
		p.down = m.now + 500*time.Millisecond
		p.founder = nil
		return true
	}
	if fx.Save != nil {
		if crash() {
			return
		}
		p.durable = *fx.Save
	}
	for _, w := range fx.Send {
		if crash() {
			return
		}
		if m.rng.Float64() >= m.loss {
			m.queue = append(m.queue, parcel{m.now + time.Duration(m.rng.IntN(50))*time.Millisecond, p.fresh.ID, w.To, w.Word})
		}
	}
	if fx.Found != nil {
		if crash() {
			return
		}
		require.True(m.t, p.bound.IsZero())
		p.bound, p.found, p.founder = fx.Found.FlockID, fx.Found, nil
		crash()
	}
}

// run lets time pass: deliveries, ticks, restarts, and the word of a founded
// flock, which reaches those that accepted it.
func (m *meeting) run(d time.Duration) {
	for end := m.now + d; m.now < end; m.now += 10 * time.Millisecond {
		for _, p := range m.agents {
			if p.founder == nil && p.bound.IsZero() && m.alive(p) {
				p.start()
			}
		}
		var due []parcel
		m.queue = slices.DeleteFunc(m.queue, func(x parcel) bool {
			if x.at <= m.now {
				due = append(due, x)
			}
			return x.at <= m.now
		})
		for _, x := range due {
			m.deliver(x)
		}
		for _, p := range m.agents {
			if m.alive(p) && p.founder != nil {
				p.founder.See(m.now, m.view())
				m.perform(p, p.founder.Tick(m.now))
			}
		}
		m.spread()
		m.check()
	}
}

func (m *meeting) until(ok func() bool) {
	for end := m.now + time.Minute; !ok(); {
		require.Less(m.t, m.now, end)
		m.run(10 * time.Millisecond)
	}
}

func (m *meeting) deliver(x parcel) {
	for _, p := range m.agents {
		if p.fresh.ID != x.to || !m.alive(p) {
			continue
		}
		if p.founder != nil {
			m.perform(p, p.founder.Receive(m.now, x.from, &x.word))
		} else if p.bound != x.word.FlockID && !p.bound.IsZero() {
			if w, ok := Elsewhere(p.fresh.ID, x.from, &x.word); ok {
				m.perform(p, Effects{Send: []Word{w}})
			}
		}
	}
}

// spread is what the datagrams of a founded flock do.
func (m *meeting) spread() {
	for _, p := range m.agents {
		for _, q := range m.agents {
			if m.alive(p) && !p.bound.IsZero() && m.alive(q) && q.founder != nil && q.founder.Obeys(p.bound) && m.rng.Float64() >= m.loss {
				q.bound, q.founder = p.bound, nil
			}
		}
	}
}

// check is the safety: who is bound to a flock is in its set, and no agent of
// a founded flock's set is bound, or may still be, to another.
func (m *meeting) check() {
	for _, p := range m.agents {
		if p.found == nil {
			continue
		}
		for _, q := range m.agents {
			if slices.ContainsFunc(p.found.Config.Members(), func(v election.Voter) bool { return v.ID == q.fresh.ID }) {
				require.True(m.t, q.bound == p.bound || q.bound.IsZero() && q.durable.FlockID == p.bound,
					"%s founded %s, and its voter %s is bound to %s and has accepted %s", p.fresh.Name, p.bound, q.fresh.Name, q.bound, q.durable.FlockID)
			}
		}
	}
}

func (m *meeting) flocks() (ids []election.FlockID) {
	for _, p := range m.agents {
		if !p.bound.IsZero() && !slices.Contains(ids, p.bound) {
			ids = append(ids, p.bound)
		}
	}
	return ids
}

func (m *meeting) allBound() bool {
	return !slices.ContainsFunc(m.agents, func(p *participant) bool { return p.bound.IsZero() })
}

func (m *meeting) status(p *participant) string {
	return p.founder.Status(m.now, func(id election.ID) string { return fmt.Sprintf("%c", 'a'+id[0]-1) })
}

func TestExactlyTheExpectedFoundOneFlock(t *testing.T) {
	for n := 1; n <= 7; n++ {
		m := newMeeting(t, n, n)
		m.run(3 * time.Second)
		require.True(t, m.allBound(), "%d agents", n)
		require.Len(t, m.flocks(), 1)
		rec := m.agents[0].found
		require.NotNil(t, rec, "the lowest id coordinates")
		require.Equal(t, election.ConfigID{Version: 1}, rec.Config.ConfigID)
		require.EqualValues(t, []int{0, 1, 1, 3, 3, 5, 5, 5}[n], rec.Config.N)
	}
}

func TestOneTooManyFoundsNothingAndIsNamed(t *testing.T) {
	m := newMeeting(t, 4, 3)
	m.run(time.Minute)
	require.Empty(t, m.flocks())
	for _, p := range m.agents {
		require.Contains(t, m.status(p), "expected 3, see 4: a b c d: stop 1 of them, or start all with --expect 4")
		require.False(t, p.founder.Missing())
	}
	m.agents[3].gone = true
	m.run(5 * time.Second)
	require.Len(t, m.flocks(), 1)
}

func TestTooFewWait(t *testing.T) {
	m := newMeeting(t, 2, 3)
	m.run(time.Minute)
	require.Empty(t, m.flocks())
	require.Contains(t, m.status(m.agents[0]), "waiting for 1 more of 3: have a b")
	require.True(t, m.agents[0].founder.Missing())
	m.add(2, 3)
	m.run(5 * time.Second)
	require.True(t, m.allBound())
}

func TestAPlainJoinerIsNoFounder(t *testing.T) {
	m := newMeeting(t, 3, 3)
	joiner := m.add(3, 0)
	require.Empty(t, m.flocks())
	m.run(5 * time.Second)
	require.Len(t, m.flocks(), 1)
	require.True(t, joiner.bound.IsZero())
	require.NotContains(t, m.agents[0].found.Config.Members(), election.Voter{ID: joiner.fresh.ID, Priority: 100})
}

func TestAnotherExpectationIsNamed(t *testing.T) {
	m := newMeeting(t, 2, 3)
	m.add(2, 4)
	m.run(time.Minute)
	require.Empty(t, m.flocks())
	require.Contains(t, m.status(m.agents[0]), "c expects 4 agents, this one 3")
	require.Contains(t, m.status(m.agents[2]), "a expects 3 agents, this one 4")
}

func TestWitnessesAloneFoundNothing(t *testing.T) {
	m := newMeeting(t, 3, 3)
	for _, p := range m.agents {
		p.fresh.Priority = 0
	}
	m.run(time.Minute)
	require.Empty(t, m.flocks())
	require.Contains(t, m.status(m.agents[1]), "no goose is possible")
}

func TestTheFirstVotersFollowPriority(t *testing.T) {
	m := newMeeting(t, 6, 6)
	m.agents[0].fresh.Priority = 10
	m.agents[1].fresh.Observer = true
	m.run(5 * time.Second)
	c := m.agents[0].found.Config
	require.EqualValues(t, 5, c.N)
	require.False(t, c.Has(m.agents[1].fresh.ID), "an observer")
}

// TestACrashAtEveryStepEndsInOneFlock crashes one agent before the n-th thing
// that anybody does, for every n, with and without loss.
func TestACrashAtEveryStepEndsInOneFlock(t *testing.T) {
	for _, loss := range []float64{0, 0.3} {
		for crashAt := 0; ; crashAt++ {
			m := newMeeting(t, 3, 3)
			m.loss, m.crashAt = loss, crashAt
			m.run(30 * time.Second)
			require.True(t, m.allBound(), "crash at %d", crashAt)
			require.Len(t, m.flocks(), 1, "crash at %d", crashAt)
			if m.steps <= crashAt {
				break // there was nothing left to crash before
			}
			require.Less(t, crashAt, 1000)
		}
	}
}

func TestChaosNeverFoundsTwoFlocksWithOneVoter(t *testing.T) {
	for seed := range uint64(150) {
		m := newMeeting(t, 3, 3)
		m.rng = rand.New(rand.NewPCG(seed, 2))
		m.loss = 0.4
		for range 10 {
			m.crashAt = m.steps + m.rng.IntN(10)
			switch m.rng.IntN(4) {
			case 0:
				if len(m.agents) < 6 {
					m.add(len(m.agents), 3)
				}
			case 1:
				m.agents[m.rng.IntN(len(m.agents))].down = m.now + time.Duration(m.rng.IntN(2000))*time.Millisecond
			}
			for _, p := range m.agents {
				if !m.alive(p) {
					p.founder = nil
				}
			}
			m.run(time.Duration(m.rng.IntN(1500)) * time.Millisecond)
		}
	}
}

func TestAnAcceptanceOutlivesARestartAndBindsWhateverTheFlagsSay(t *testing.T) {
	m := newMeeting(t, 3, 3)
	b := m.agents[1]
	m.until(func() bool { return !b.durable.FlockID.IsZero() })
	m.agents[0].gone, m.agents[0].found, m.agents[0].bound = true, nil, election.FlockID{}
	accepted := b.durable.FlockID
	b.expect = 0
	b.start()
	m.run(time.Minute)
	require.Equal(t, accepted, b.durable.FlockID)
	require.Equal(t, "founding: agreed that a founds the flock; waiting for it (normally under 1 s)", m.status(b))
	m.run(lostAfter)
	require.Contains(t, m.status(b), "only if it is lost for good: stop the others and empty their data directories")
	require.True(t, b.founder.Bound())
}

func TestACoordinatorThatWentElsewhereReleasesThoseThatWait(t *testing.T) {
	m := newMeeting(t, 3, 3)
	b := m.agents[1]
	m.until(func() bool { return !b.durable.FlockID.IsZero() })
	a := m.agents[0]
	a.bound, a.founder = election.FlockID{99}, nil // it met a founded flock meanwhile
	m.agents[2].gone = true
	m.run(5 * time.Second)
	require.False(t, b.founder.Bound())
}

func TestAttemptsOfOneCoordinatorNeverRepeat(t *testing.T) {
	f := New(Settings{Self: election.ID{2}, Expect: 2, Voters: 5}, store.Founding{Attempt: 1, Aborted: 10, FlockID: election.FlockID{7}, Coordinator: election.ID{1}})
	fx := f.Receive(0, election.ID{1}, &wire.Founding{Kind: wire.FoundAbort, Attempt: 1})
	require.NotNil(t, fx.Save)
	require.EqualValues(t, 10, fx.Save.Aborted, "its own attempts up to ten are over")
}

func TestHostileWordsChangeNothing(t *testing.T) {
	set := []election.ID{{1}, {2}}
	f := New(Settings{Self: election.ID{2}, Expect: 2, Voters: 5}, store.Founding{})
	f.See(0, []Fresh{{ID: set[0], Expect: 2, Priority: 100}, {ID: set[1], Expect: 2, Priority: 100}})
	for _, w := range []wire.Founding{
		{Kind: wire.FoundPropose},
		{Kind: wire.FoundPropose, Set: []election.ID{{1}}},
		{Kind: wire.FoundPropose, Set: []election.ID{{2}, {3}}, Expect: 2},
		{Kind: wire.FoundAccept, Set: set}, {Kind: wire.FoundAccept},
		{Kind: wire.FoundRefuse}, {Kind: wire.FoundAbort, Attempt: 9}, {Kind: 77},
	} {
		fx := f.Receive(0, election.ID{1}, &w)
		require.Nil(t, fx.Save, "%+v", w)
		require.Nil(t, fx.Found)
		require.False(t, f.Bound())
	}
}
