package gossip

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

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/lead"
	"duckduckgoose/agent/member"
)

func TestHostileMessagesAreDroppedAndCounted(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		a, b := f.agents[0], f.agents[1]
		to := f.see(0, 1)
		dropped := func(why string) uint64 { return b.counts.Of("dropped_ask_" + why).Load() }
		send := func(text []byte) {
			require.NoError(t, a.list.SendReliable(nodeOf(to.ID.String(), to.Addr), text))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		for _, text := range []string{"{", "null", `{"v": 2}`, `{"v": "x"}`, "\x00\xff", strings.Repeat("[", 100_000)} {
			before := dropped("malformed")
			send([]byte(text))
			require.Equal(t, before+1, dropped("malformed"), "%.20s", text)
		}
		send(make([]byte, maxMessage+1))
		require.EqualValues(t, 1, dropped("large"))

		good := a.asks.messageTo(to)
		good.Question = pingQuestion
		for i, spoil := range []func(*message){
			func(m *message) { m.From = election.ID{0xEE}.String() },
			func(m *message) { m.From = "x" },
			func(m *message) { m.From = m.To }, // itself, which never writes to itself
			func(m *message) { m.To = m.From },
			func(m *message) { m.FlockID = election.FlockID{1}.String() },
		} {
			bad := *good
			spoil(&bad)
			text, err := json.Marshal(&bad)
			require.NoError(t, err)
			send(text)
			require.EqualValues(t, i+1, dropped("stranger"))
		}

		recorded := *good
		recorded.ToLife++
		text, err := json.Marshal(&recorded)
		require.NoError(t, err)
		send(text)
		require.EqualValues(t, 1, dropped("life"), "a question to a former process")

		unasked := a.asks.messageTo(to)
		text, err = json.Marshal(unasked)
		require.NoError(t, err)
		send(text)
		require.EqualValues(t, 1, dropped("late"), "an answer that nobody waits for")

		answered := func() uint64 { return b.counts.Of("questions_answered").Load() }
		before := answered()
		text, err = json.Marshal(good)
		require.NoError(t, err)
		for range 10 * askBurst {
			b.asks.take(text)
			synctest.Wait()
		}
		require.LessOrEqual(t, answered()-before, uint64(askBurst))
		require.NotZero(t, dropped("rate"))
		time.Sleep(time.Second)
		_, err = a.Ask(context.Background(), to, pingQuestion, struct{}{})
		require.NoError(t, err, "it still answers")
	})
}

func TestAFullInboxOfMessagesDropsAndNeverBlocks(t *testing.T) {
	a := newAsker(&Gossip{opts: Options{Counts: &meters.Counters{}}}) // whose reader hangs
	for range 2 * askInbox {
		a.take([]byte("{}"))
	}
	require.EqualValues(t, askInbox, a.g.opts.Counts.Of("dropped_ask_full").Load())
}

func TestAnswersAreTakenFromTheAskedAgentOnly(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		a, b, c := f.agents[0], f.agents[1], f.agents[2]
		defer b.Occupy()()
		ctx, cancel := context.WithTimeout(context.Background(), AskWait)
		defer cancel()
		asked := make(chan error, 1)
		go func() {
			_, err := a.Ask(ctx, f.see(0, 1), pingQuestion, struct{}{})
			asked <- err
		}()
		time.Sleep(100 * time.Millisecond)
		a.asks.mu.Lock()
		require.Len(t, a.asks.mu.waiting, 1)
		for number := range a.asks.mu.waiting {
			forged := c.asks.messageTo(member.Peer{ID: a.opts.ID})
			forged.Number = number
			text, err := json.Marshal(forged)
			require.NoError(t, err)
			go a.asks.take(text)
		}
		a.asks.mu.Unlock()
		err := <-asked
		require.ErrorContains(t, err, "it does not answer")
		require.EqualValues(t, 1, a.counts.Of("dropped_ask_late").Load())
		require.Empty(t, a.asks.mu.waiting)
	})
}

func TestAQuestionIsPassedOnOnceAndNotFurther(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		a := f.agents[0]
		ask := func(to string, question string) error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*AskWait)
			defer cancel()
			_, err := a.Ask(ctx, f.see(0, 1), relayQuestion, relayed{To: to, Question: question, Body: json.RawMessage("{}")})
			return err
		}
		c := f.agents[2].opts.ID.String()
		require.NoError(t, ask(c, pingQuestion))
		for _, bad := range []error{
			ask(c, relayQuestion), ask("nobody", pingQuestion), ask(f.agents[1].opts.ID.String(), pingQuestion),
		} {
			var no *Refusal
			require.ErrorAs(t, bad, &no)
			require.ErrorContains(t, bad, "cannot be passed on")
		}
		var no *Refusal
		_, err := a.Ask(context.Background(), f.see(0, 1), "of tomorrow", struct{}{})
		require.ErrorAs(t, err, &no)
		require.EqualError(t, err, `this agent knows no question "of tomorrow": it may be of an older version`)
	})
}

func TestAskingEndsWithGossip(t *testing.T) {
	inFlock(t, 3, func(t *testing.T, f *flock) {
		free := f.agents[1].Occupy()
		a, b := f.agents[0], f.see(0, 1)
		asked := make(chan error, 1)
		go func() {
			_, err := a.Ask(context.Background(), b, pingQuestion, struct{}{})
			asked <- err
		}()
		time.Sleep(100 * time.Millisecond)
		a.Shutdown()
		require.ErrorIs(t, <-asked, lead.ErrStopped)
		free()
		_, err := a.Ask(context.Background(), b, pingQuestion, struct{}{})
		require.ErrorIs(t, err, lead.ErrStopped)
	})
}

func TestTheRelayOfAReplyKeepsWhyItFailed(t *testing.T) {
	r := Reply{Err: fmt.Errorf("%w: refused", ErrUnsent)}
	require.False(t, r.answered())
	require.True(t, errors.Is(r.Err, ErrUnsent))
	r.Err = &Refusal{"no"}
	require.True(t, r.answered())
	require.EqualError(t, r.Read(nil), "no")
}

func TestEveryRelayGetsItsTurn(t *testing.T) {
	require.Empty(t, spread(nil))
	relays := make([]member.Peer, 5)
	for i := range relays {
		relays[i].ID = election.ID{byte(i)}
	}
	seen := map[election.ID]bool{}
	for range 1000 { // a chance of 1 in 10^200 to miss one
		some := spread(relays)
		require.Len(t, some, askRelays)
		require.NotEqual(t, some[0].ID, some[1].ID)
		seen[some[0].ID], seen[some[1].ID] = true, true
	}
	require.Len(t, seen, len(relays))
}
