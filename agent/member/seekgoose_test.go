package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// Gossip repairs a lost update only after half a minute. Until then the goose did not
// know an agent that had just joined, and the agent knew no goose.
func TestAnAgentThatTheGooseDoesNotKnowAsksForIt(t *testing.T) {
	f := flockOf(t, 3)
	g := f.goose("")
	for name, missed := range map[string]func(at *testAgent) bool{
		"the goose missed it": func(at *testAgent) bool { return at == g },
		"all missed it":       func(*testAgent) bool { return true },
	} {
		late := f.start(func(s *Settings) { s.Observer = true })
		f.missed = func(at, of *testAgent) bool { return of == late && missed(at) }
		f.until(6*testLease, name, func() bool { goose, _ := late.Default().Goose(f.now); return goose == g.me })
		require.EqualValues(t, 3, late.config("").N, name)
		f.run(2 * time.Second)
		goose, _ := late.Default().Goose(f.now)
		require.Equal(t, g.me, goose, name)
		f.missed = nil
		f.gossip()
	}
}

// In a crowd gossip shows a newcomer to the goose only after seconds.
func TestRule30ANewcomerAsksForTheGooseAtOnce(t *testing.T) {
	f := crowdOf(t, 15)
	g := f.goose("")
	fresh := map[*testAgent]bool{}
	f.missed = func(at, of *testAgent) bool { return fresh[of] && at != of }
	asked := map[*testAgent]int{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if m.Kind == election.PreVoteRequest && m.Nonce == 0 {
			asked[to]++
			require.False(t, fresh[to], "those know no more")
		}
		return false
	}
	for range 10 {
		fresh[f.start(func(s *Settings) { s.Observer = true })] = true
	}
	f.gossip()
	f.until(testLease/5, "all know the goose", func() bool { return f.knowing(g) == 30 })
	require.Len(t, fresh, 10)
	require.NotEmpty(t, asked)

	late := f.start(func(s *Settings) { s.Observer = true })
	fresh[late] = true
	met := f.agents[7]
	f.met = func(at, of *testAgent) bool { return at == late && of == met }
	askedAt := map[*testAgent]time.Duration{}
	f.lost = func(from, to *testAgent, m *wire.Message) bool {
		if from == late && m.Kind == election.PreVoteRequest {
			askedAt[to] = f.now
		}
		return to == late && f.now-askedAt[from] > 5*testDelay
	}
	f.gossip()
	f.until(testLease/5, "it knows the goose", func() bool { return f.knowing(g) == 31 })
	require.Contains(t, askedAt, met, "it asks the one that it has met")
	for range 100 {
		f.run(testLease / 10)
		require.Equal(t, 31, f.knowing(g), "though those that should tell it do not know it")
	}
}

// A voter tells those that are no voters, few at a time, and only of a goose that it hears.
func TestAVoterAnswersFewOfThoseThatAskForTheGoose(t *testing.T) {
	f := flockOf(t, 3)
	v := f.duck()
	rec := v.node().Record()
	answers := func(from election.ID, nonce uint64) bool {
		v.frameAt = f.now
		v.tellGoose(&election.Message{Kind: election.PreVoteRequest, Nonce: nonce, Header: election.Header{From: from, ConfigID: rec.Config.ConfigID}})
		return len(v.outbox.of(from).messages) > 0
	}
	require.False(t, answers(election.ID{99}, 1), "a candidate")
	require.False(t, answers(v.other().me, 0), "a voter")
	for i := range byte(toldMost) {
		require.True(t, answers(election.ID{100, i}, 0))
	}
	require.False(t, answers(election.ID{101}, 0), "too many at once")
	f.now += testHeartbeat
	require.True(t, answers(election.ID{101}, 0))
	f.now += testLease
	require.False(t, answers(election.ID{102}, 0), "it heard that goose a lease ago")
}

func TestOnlyThoseOutOfTheGoosesViewAsk(t *testing.T) {
	f := flockOf(t, 3)
	f.start(func(s *Settings) { s.Observer = true })
	f.run(2 * time.Second)
	asked := map[string]int{}
	f.lost = func(from, _ *testAgent, m *wire.Message) bool {
		if m.Kind == election.PreVoteRequest && m.Nonce == 0 {
			asked[from.name]++
		}
		return false
	}
	f.run(5 * time.Second)
	require.Empty(t, asked, "while there is a goose")
	for _, a := range f.agents[:2] {
		a.crash()
	}
	f.run(5 * time.Second)
	require.Equal(t, 3*3, asked["d"], "after 2, 4 and 8 leases, of three voters")
}

// All of a crowd may have restarted while too few voters are up.
func TestACrowdOfNewcomersWithoutAGooseAsksLessAndLess(t *testing.T) {
	f := crowdOf(t, 15)
	asked := map[string]int{}
	f.lost = func(from, _ *testAgent, m *wire.Message) bool {
		if m.Kind == election.PreVoteRequest && !from.node().IsVoter() {
			asked[from.name]++
		}
		return false
	}
	for _, a := range f.agents[:3] {
		a.crash()
	}
	f.run(10 * time.Second)
	require.Len(t, asked, 15)
	for name, n := range asked {
		require.LessOrEqual(t, n, 2*10, name)
	}
}
