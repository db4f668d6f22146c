package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/meters"
)

// gossipOf gives an agent's gossip.
func (f *testFlock) gossipOf(name string) *gossip {
	r, err := f.agents[name].callRoll(context.Background())
	require.NoError(f.t, err)
	return r.gossip
}

// peerOf gives an agent as another sees it.
func (f *testFlock) peerOf(at, name string) peer {
	for _, p := range f.gossipOf(at).Peers() {
		if p.Meta.Name == name {
			return p
		}
	}
	require.FailNow(f.t, "no peer", name)
	return peer{}
}

func TestHostileLettersAreDroppedAndCounted(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.withKeys(1)
		f.found(3)
		f.allAlive()
		a, b := f.gossipOf("a"), f.gossipOf("b")
		to := f.peerOf("a", "b")
		dropped := func(why string) uint64 { return f.agents["b"].counts.Of("dropped_ask_" + why).Load() }
		send := func(text []byte) {
			require.NoError(t, a.list.SendReliable(nodeOf(to.ID, to.Addr), text))
			f.sleep(100 * time.Millisecond)
		}
		for _, text := range []string{"{", "null", `{"v": 2}`, `{"v": "x"}`, "\x00\xff", strings.Repeat("[", 100_000)} {
			before := dropped("malformed")
			send([]byte(text))
			require.Equal(t, before+1, dropped("malformed"), "%.20s", text)
		}
		send(make([]byte, askMost+1))
		require.EqualValues(t, 1, dropped("large"))

		good := a.asks.letterTo(to.ID)
		good.Topic = pingTopic
		for i, spoil := range []func(*letter){
			func(l *letter) { l.From = election.ID{0xEE}.String() },
			func(l *letter) { l.From = "x" },
			func(l *letter) { l.From = l.To }, // itself, which never writes to itself
			func(l *letter) { l.To = l.From },
			func(l *letter) { l.FlockID = election.FlockID{1}.String() },
		} {
			bad := *good
			spoil(&bad)
			text, err := json.Marshal(&bad)
			require.NoError(t, err)
			send(text)
			require.EqualValues(t, i+1, dropped("stranger"))
		}

		unasked := a.asks.letterTo(to.ID)
		text, err := json.Marshal(unasked)
		require.NoError(t, err)
		send(text)
		require.EqualValues(t, 1, dropped("late"), "an answer that nobody waits for")

		answered := func() uint64 { return f.agents["b"].counts.Of("questions_answered").Load() }
		before := answered()
		text, err = json.Marshal(good)
		require.NoError(t, err)
		for range 10 * askBurst {
			b.asks.take(text)
			synctest.Wait()
		}
		require.LessOrEqual(t, answered()-before, uint64(askBurst))
		require.NotZero(t, dropped("rate"))
		f.sleep(time.Second)
		require.NotEmpty(t, f.goose())
	})
}

func TestAFullInboxOfLettersDropsAndNeverBlocks(t *testing.T) {
	a := newAsker(&gossip{opts: gossipOptions{Counts: &meters.Counters{}}}) // whose reader hangs
	for range 2 * askInbox {
		a.take([]byte("{}"))
	}
	require.EqualValues(t, askInbox, a.g.opts.Counts.Of("dropped_ask_full").Load())
}

func TestAnswersAreTakenFromTheAskedAgentOnly(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		free := f.busy("b")
		defer free()
		a, c := f.gossipOf("a"), f.gossipOf("c")
		ctx, cancel := context.WithTimeout(context.Background(), askWait)
		defer cancel()
		asked := make(chan error, 1)
		go func() {
			_, err := a.asks.ask(ctx, f.peerOf("a", "b"), pingTopic, struct{}{})
			asked <- err
		}()
		f.sleep(100 * time.Millisecond)
		a.asks.mu.Lock()
		require.Len(t, a.asks.mu.waiting, 1)
		for number := range a.asks.mu.waiting {
			forged := c.asks.letterTo(f.peerOf("c", "a").ID)
			forged.Number = number
			text, err := json.Marshal(forged)
			require.NoError(t, err)
			go a.asks.take(text)
		}
		a.asks.mu.Unlock()
		err := <-asked
		require.ErrorContains(t, err, "it does not answer")
		require.EqualValues(t, 1, f.agents["a"].counts.Of("dropped_ask_late").Load())
		require.Empty(t, a.asks.mu.waiting)
	})
}

func TestAQuestionIsPassedOnOnceAndNotFurther(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		a := f.gossipOf("a")
		ask := func(to string, topic string) error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*askWait)
			defer cancel()
			_, err := a.asks.ask(ctx, f.peerOf("a", "b"), relayTopic, relayed{To: to, Topic: topic, Body: json.RawMessage("{}")})
			return err
		}
		c := f.peerOf("a", "c").ID.String()
		require.NoError(t, ask(c, pingTopic))
		for _, bad := range []error{
			ask(c, relayTopic), ask("nobody", pingTopic), ask(f.peerOf("a", "b").ID.String(), pingTopic),
		} {
			var no *refusal
			require.ErrorAs(t, bad, &no)
			require.ErrorContains(t, bad, "cannot be passed on")
		}
		var no *refusal
		_, err := a.asks.ask(context.Background(), f.peerOf("a", "b"), "of tomorrow", struct{}{})
		require.ErrorAs(t, err, &no)
		require.EqualError(t, err, `this agent knows no question "of tomorrow": it may be of an older version`)
	})
}

func TestAskingEndsWithTheAgent(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		free := f.busy("b")
		a, b := f.gossipOf("a"), f.peerOf("a", "b")
		asked := make(chan error, 1)
		go func() {
			_, err := a.asks.ask(context.Background(), b, pingTopic, struct{}{})
			asked <- err
		}()
		f.sleep(100 * time.Millisecond)
		f.stop("a")
		require.ErrorIs(t, <-asked, ErrStopped)
		free()
		_, err := a.asks.ask(context.Background(), b, pingTopic, struct{}{})
		require.ErrorIs(t, err, ErrStopped)
	})
}

func TestASimulatedDeathAnswersNothing(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		require.NoError(t, f.agents["b"].Die(0))
		_, err := f.agents["b"].Doctor(context.Background(), time.Second)
		require.ErrorIs(t, err, api.ErrConflict)
		_, err = f.agents["b"].Keys(context.Background())
		require.ErrorContains(t, err, "dead by simulation")
		require.NoError(t, f.agents["b"].Revive())
		f.settle(3)
	})
}

func TestTheRelayOfAReplyKeepsWhyItFailed(t *testing.T) {
	r := reply{Err: fmt.Errorf("%w: refused", errUnsent)}
	require.False(t, r.answered())
	require.True(t, errors.Is(r.Err, errUnsent))
	r.Err = &refusal{"no"}
	require.True(t, r.answered())
	require.EqualError(t, r.read(nil), "no")
	require.Empty(t, spread(nil, election.ID{}))
	for n := range byte(5) {
		require.Len(t, spread(make([]peer, 5), election.ID{n}), askRelays)
	}
}
