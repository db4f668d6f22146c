package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRule19PreVoteChangesNothingAtTheVoter(t *testing.T) {
	own := at(3, 1, "a", "b", "c")
	ask := Message{Kind: PreVoteRequest, NextTerm: 4, Nonce: 77, Header: header(3, own)}
	c, n := lone(t, "a", Record{Term: 3, Vote: idOf("b"), Config: own})
	before := *n
	reply := only(t, c.tell("a", "c", ask))
	require.True(t, reply.Granted)
	require.Equal(t, uint64(77), reply.Nonce)
	require.Equal(t, before, *n)

	c.tell("a", "b", beat(1, 500*time.Millisecond, 3, own))
	before = *n
	reply = only(t, c.tell("a", "c", ask))
	require.Equal(t, Promised, reply.Reason)
	require.Equal(t, 500*time.Millisecond, reply.Remaining)
	require.True(t, only(t, c.tell("a", "b", ask)).Granted, "its own former leader")
	require.Equal(t, before, *n)

	n.promise.End = c.now
	n.campaign(c.now, &c.nodes["a"].fx)
	require.True(t, only(t, c.tell("a", "c", ask)).Granted, "a candidate of the same moment")
	require.Equal(t, PreCandidate, n.role)
}

func TestRule19RefusalThatShowsMoreIsAdoptedThenRetried(t *testing.T) {
	c, n := lone(t, "a", Record{Term: 3, Config: at(3, 1, "a", "b", "c")})
	n.campaign(c.now, &c.nodes["a"].fx)
	newer := at(4, 1, "a", "b", "c")
	c.tell("a", "b", Message{Kind: PreVoteReply, Nonce: n.nonce, Reason: OldConfig, Header: header(6, newer), Config: newer})
	require.Equal(t, newer, n.rec.Config)
	require.Equal(t, uint64(6), n.rec.Term)
	c.until(time.Second, "another PreVote", func() bool { return n.role == PreCandidate })
}

func TestRule21AsksAgainInTheSameTerm(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	asked := map[uint64]int{}
	c.drop = func(m *Message) bool {
		if m.Kind == VoteRequest && m.From == idOf("a") && m.To == idOf("b") {
			asked[m.Term]++
		}
		return m.Kind == VoteReply || m.From != idOf("a") && m.Kind == PreVoteRequest
	}
	c.until(time.Second, "the next term", func() bool { return c.nodes["a"].node.rec.Term == 2 })
	require.Equal(t, 1+maxResends, asked[1])
}

func TestRule21TermIsNotBurntWhileNobodyAnswers(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.kill("b")
	c.kill("c")
	c.run(10 * time.Minute)
	require.Zero(t, c.nodes["a"].node.rec.Term)
}

func TestRule22ConfigWithoutItselfSilencesAnAgent(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	out := otherThan(g)
	require.NoError(t, c.step(g, Change{Voter: Voter{ID: idOf(out)}, Remove: true}))
	c.run(time.Second)
	c.kill(g)
	asked := 0
	c.drop = func(m *Message) bool {
		if m.From == idOf(out) && (m.Kind == PreVoteRequest || m.Kind == VoteRequest) {
			asked++
		}
		return false
	}
	c.run(time.Minute)
	require.Zero(t, asked)
}

func TestRule23RefusedForAPromiseItRetriesWhenThatEnds(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.drop = func(*Message) bool { return true }
	m := c.nodes["a"]
	n := &m.node
	c.until(time.Second, "PreVote", func() bool { return n.role == PreCandidate })
	for _, from := range []string{"b", "c"} {
		c.tell("a", from, Message{
			Kind: PreVoteReply, Nonce: n.nonce, Reason: Promised, Remaining: 7 * time.Millisecond, Header: header(0, n.rec.Config),
		})
	}
	require.Equal(t, c.now+7*time.Millisecond, m.wake)
	c.now = m.wake
	require.NoError(t, c.step("a", Tick{}))
	require.Len(t, m.fx.Send, 2)
}

func TestRule24SuccessorsAreRankedByPriorityThenFreshness(t *testing.T) {
	c := newCluster(t)
	config := configOf("a", "b", "c", "d").With(Voter{idOf("d"), 200}).With(Voter{idOf("e"), 0})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		c.add(name, Record{FlockID: testFlock, Config: config, PromiseMax: 500 * time.Millisecond}, true)
	}
	require.Equal(t, "d", c.awaitGoose(time.Second), "the config's order, while no ranks were heard")
	c.run(time.Second)
	ranks := c.nodes["d"].node.rank24(c.now)
	require.Equal(t, [MaxVoters]uint8{0, 1, 2, 4, 3}, ranks, "a, b, c, itself last, the witness before it")
	c.link(false, "a", "d")
	c.run(300 * time.Millisecond)
	require.Equal(t, uint8(2), c.nodes["d"].node.rank24(c.now)[0], "a is not heard")
	c.kill("d")
	require.Equal(t, "b", c.awaitGoose(time.Second), "rank 0 goes at once")
}

func TestRule24OldGooseRanksLastForAWhile(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	require.Equal(t, "a", g)
	c.run(time.Second)
	require.NoError(t, c.step("a", StepDown{To: idOf("c")}))
	c.until(time.Second, "c as goose", func() bool { return c.goose() == "c" })
	c.run(500 * time.Millisecond)
	require.Equal(t, uint8(1), c.nodes["c"].node.rank24(c.now)[0])
	c.run(time.Second)
	require.Equal(t, uint8(0), c.nodes["c"].node.rank24(c.now)[0])
}

func TestRule25GooseThatStopsTransfersFirstAndResignsIfNobodyTakesIt(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	g := c.awaitGoose(time.Second)
	c.run(time.Second)
	require.NoError(t, c.step(g, StepDown{Stop: true}))
	c.until(10*time.Millisecond, "another goose", func() bool { return c.goose() != "" && c.goose() != g })

	g = c.goose()
	c.run(2 * time.Second)
	c.drop = func(m *Message) bool { return m.Kind == TimeoutNow }
	at := c.now
	require.NoError(t, c.step(g, StepDown{Stop: true}))
	c.until(time.Second, "another goose", func() bool { return c.goose() != "" && c.goose() != g })
	require.Less(t, c.now-at, 300*time.Millisecond, "half a lease, not a whole one: by Resign")
}

func TestRule26HigherGenerationIsTakenWithItsConfigAndPromisesAreKept(t *testing.T) {
	own := at(8, 3, "a", "b", "c", "d", "e")
	c, n := lone(t, "a", Record{Term: 9, Vote: idOf("b"), Config: own})
	c.tell("a", "b", beat(1, 500*time.Millisecond, 9, own))
	promise := n.promise
	recovered := at(0, 1, "a", "c")
	gen := Generation{Number: 1, Tag: 42}
	h := Header{Generation: gen, Term: 4, ConfigID: recovered.ConfigID}
	require.Len(t, c.tell("a", "c", Message{Kind: VoteRequest, Header: h}), 1, "it asks for the config")
	require.Zero(t, n.rec.Generation)
	c.tell("a", "c", Message{Kind: Reject, Header: h, Config: recovered})
	require.Equal(t, gen, n.rec.Generation)
	require.Equal(t, recovered, n.rec.Config, "though its number is lower")
	require.Equal(t, uint64(4), n.rec.Term, "terms begin anew")
	require.Zero(t, n.rec.Vote)
	require.Equal(t, promise, n.promise)
	require.Equal(t, n.rec, c.nodes["a"].disk)

	sent := only(t, c.tell("a", "e", beat(7, time.Second, 99, at(50, 1, "a", "b", "c", "d", "e"))))
	require.Equal(t, Reject, sent.Kind, "a lower generation")
	require.Equal(t, gen, sent.Generation)
	require.Equal(t, recovered, sent.Config)
	require.Equal(t, uint64(4), n.rec.Term)

	before := *n
	h.Generation.Tag++
	require.Empty(t, c.tell("a", "c", Message{Kind: Reject, Header: h, Config: recovered}), "another recovery: another flock")
	require.Equal(t, before, *n)
	require.Equal(t, EventForeign, c.nodes["a"].fx.Events[0].Kind)
}

func TestRule26RecoveryIsMadeOfItsListAlone(t *testing.T) {
	list := configOf("a", "b").With(Voter{ID: idOf("w"), Priority: 0})
	one := Record{FlockID: testFlock, Term: 7, Vote: idOf("b"), Config: at(6, 2, "a", "b", "c", "w"), PromiseMax: time.Second}
	other := Record{FlockID: testFlock, Term: 9, Config: at(5, 1, "a", "b").With(Voter{ID: idOf("b"), Priority: 0})}
	other.Config.Table = Digest{1}
	a, b := one.Recovered(list, nil), other.Recovered(list, nil)
	require.Equal(t, a.Config, b.Config, "whatever the survivors' own configs are")
	require.Equal(t, a.Generation, b.Generation)
	require.Equal(t, ConfigID{Version: 1}, a.Config.ConfigID)
	require.Equal(t, list.Members(), a.Config.Members())
	require.Zero(t, a.Config.Table)
	require.Equal(t, uint64(1), a.Generation.Number)
	require.Equal(t, []any{uint64(0), ID{}, time.Second}, []any{a.Term, a.Vote, a.PromiseMax})

	require.True(t, a.RecoveredWith(list, nil))
	require.False(t, one.RecoveredWith(list, nil))
	priorities := list.With(Voter{ID: idOf("b"), Priority: 1})
	require.NotEqual(t, a.Generation.Tag, one.Recovered(priorities, nil).Generation.Tag, "another flock")
	require.False(t, a.RecoveredWith(priorities, nil))
	require.NotEqual(t, a.Generation.Tag, one.Recovered(list.Without(idOf("w")), nil).Generation.Tag)
	require.NotEqual(t, a.Generation.Tag, a.Recovered(list, nil).Generation.Tag)
	grown := a
	grown.Config = grown.Config.With(Voter{ID: idOf("c"), Priority: 100})
	require.False(t, grown.RecoveredWith(list, nil), "another disaster")
}

// One forged message must not use up the terms, versions or generations of a flock.
func TestRule26NumbersTooFarAheadAreIgnored(t *testing.T) {
	const half = MaxTerm / 2
	own := at(1, 1, "a", "b", "c")
	late := at(half+1, half+1, "a", "b", "c")
	older := Generation{Number: MaxGeneration/2 + 1}
	for _, tt := range []struct {
		name       string
		rec        Record
		generation Generation
		term       uint64
		config     Config
		taken      bool
	}{
		{"the last term", Record{Term: 1, Config: own}, Generation{}, MaxTerm, own, false},
		{"half of them", Record{Term: 1, Config: own}, Generation{}, half, own, true},
		{"a leap past half", Record{Term: half + 1, Config: late}, Generation{}, half + 1 + termLeap, late, true},
		{"more than a leap", Record{Term: half + 1, Config: late}, Generation{}, half + 2 + termLeap, late, false},
		{"beyond the last term", Record{Term: MaxTerm, Config: late}, Generation{}, MaxTerm + 1, late, false},
		{"the last version", Record{Term: 1, Config: own}, Generation{}, 1, at(1, MaxTerm, "a", "b", "c"), false},
		{"half of the versions", Record{Term: 1, Config: own}, Generation{}, 1, at(1, half, "a", "b", "c"), true},
		{"a config of the last term", Record{Term: 1, Config: own}, Generation{}, 1, at(MaxTerm, 1, "a", "b", "c"), false},
		{"the last generation", Record{Term: 1, Config: own}, Generation{Number: MaxGeneration}, 0, at(0, 1, "a", "b"), false},
		{"half of the generations", Record{Term: 1, Config: own}, Generation{Number: MaxGeneration / 2}, 0, at(0, 1, "a", "b"), true},
		{"a leap of generations", Record{Generation: older, Term: 1, Config: own}, Generation{Number: older.Number + generationLeap}, 0, at(0, 1, "a"), true},
		{"too many generations", Record{Generation: older, Term: 1, Config: own}, Generation{Number: older.Number + generationLeap + 1}, 0, at(0, 1, "a"), false},
		{"the last term of a newer generation", Record{Term: MaxTerm, Config: own}, Generation{Number: 1}, MaxTerm, at(0, 1, "a", "b"), false},
	} {
		c, n := lone(t, "a", tt.rec)
		before := *n
		h := Header{Generation: tt.generation, Term: tt.term, ConfigID: tt.config.ConfigID}
		c.tell("a", "b", Message{Kind: Reject, Header: h, Config: tt.config})
		if tt.taken {
			require.Equal(t, []any{tt.generation, tt.term, tt.config}, []any{n.rec.Generation, n.rec.Term, n.rec.Config}, tt.name)
			continue
		}
		require.Equal(t, before, *n, tt.name)
		require.Equal(t, []Event{{EventImplausible, tt.term, idOf("b")}}, c.nodes["a"].fx.Events, tt.name)
	}
	c, _ := lone(t, "a", Record{Generation: older, Term: 1, Config: own})
	sent := only(t, c.tell("a", "b", Message{Kind: HeartbeatAck, Header: header(MaxTerm, own)}))
	require.Equal(t, Reject, sent.Kind, "one of an older generation is answered whatever its term is")
}

// A goose of the new generation may lead terms, and count rounds, that it led and counted in the old one.
func TestRule26TermsBeginAnewInAGeneration(t *testing.T) {
	own := at(5, 1, "a", "b", "c")
	c, n := lone(t, "a", Record{Term: MaxTerm, Config: own})
	old := beat(900, time.Second, MaxTerm, own)
	c.tell("a", "b", old)
	c.tell("a", "b", Message{Kind: Resign, Header: header(MaxTerm, own)})
	recovered := at(0, 1, "a", "b", "c")
	h := Header{Generation: Generation{1, 42}, Term: MaxTerm / 2, ConfigID: recovered.ConfigID}
	c.tell("a", "b", Message{Kind: Reject, Header: h, Config: recovered})
	require.EqualValues(t, MaxTerm/2, n.rec.Term)

	n.rec.Term = MaxTerm // as if the new one had come as far: the goose, its term and its rounds are the old ones
	again := beat(1, time.Second, MaxTerm, recovered)
	again.Generation = h.Generation
	require.Equal(t, time.Second, only(t, c.tell("a", "b", again)).Promise, "what was heard and resigned before counts no more")
}

func TestRule26TokensGrowWithTheGenerationThenTheTerm(t *testing.T) {
	token := func(gen, term uint64) uint64 {
		return (&Record{Generation: Generation{Number: gen}, Term: term}).Token()
	}
	require.Less(t, token(0, MaxTerm), token(1, 1))
	require.Less(t, token(1, 1), token(1, 2))
	require.Less(t, token(MaxGeneration, MaxTerm), uint64(1)<<53, "exact in every JSON reader")
	c, n := lone(t, "a", Record{Term: MaxTerm, Config: at(1, 1, "a")})
	c.run(time.Minute)
	require.Equal(t, Follower, n.role, "no term is left")
	require.Equal(t, uint64(MaxTerm), n.rec.Term)
}

// Rule 23 meets rule 24: one that lost the goose first asks again when the
// promise of another ends, which is when that one goes itself if it ranks
// first. They must not ask at one moment: their votes would split.
func TestRule23WhoAsksAgainGivesTheSuccessorItsMoment(t *testing.T) {
	for seed := range 20 {
		c := newCluster(t, "a", "b", "c")
		c.latency = time.Duration(200+50*seed) * time.Microsecond
		require.Equal(t, "a", c.awaitGoose(time.Second))
		c.run(time.Second + time.Duration(seed)*3*time.Millisecond)
		first, second := "b", "c"
		if c.nodes["b"].node.rank > c.nodes["c"].node.rank {
			first, second = second, first
		}
		// The goose hears the second alone, which does not hear the goose: it is
		// not quorate, and the first follows it to the end.
		c.cut[[2]string{"a", second}], c.cut[[2]string{first, "a"}] = true, true
		at := c.now
		c.until(2*time.Second, "another goose", func() bool { g := c.goose(); return g != "" && g != "a" })
		require.EqualValues(t, 2, c.nodes[c.goose()].node.rec.Term, "seed %d: the votes split", seed)
		require.Less(t, c.now-at, 2*500*time.Millisecond+50*time.Millisecond+10*c.latency+2*rankFloor, "seed %d", seed)
	}
}
