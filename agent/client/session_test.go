package client

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// talk is a conversation with the test in the agent's place.
func talk() (conn *conversation, heard *bufio.Scanner, say *io.PipeWriter) {
	answer, say := io.Pipe()
	lines, w := io.Pipe()
	conn = &conversation{
		resp: &http.Response{Body: answer}, lines: w, cancel: func() { _ = w.CloseWithError(io.ErrClosedPipe) },
		echoed: make(chan struct{}, 1), over: make(chan struct{}),
	}
	return conn, bufio.NewScanner(lines), say
}

func TestDrainIsNeverHeardBeforeTheLateItEnds(t *testing.T) {
	// A session connects again while late work ends.
	for range 1000 {
		s := newSession(New("/somewhere/a.sock"))
		s.Late(7)
		conn, heard, say := talk()
		var both sync.WaitGroup
		both.Go(func() { s.converse(conn) })
		both.Go(func() {
			s.Drained(7, api.ThenWait)
			_ = say.Close() // which ends the conversation
		})
		var lines []string
		for heard.Scan() {
			lines = append(lines, heard.Text())
			if heard.Text() == `{"drained":7}` {
				_ = say.Close() // the agent is gone before it echoes
			}
		}
		both.Wait()
		if len(lines) > 0 {
			require.Equal(t, []string{`{"late":7}`, `{"drained":7}`}, lines)
		}
	}
}

func TestBetweenADrainAndItsEchoNothingIsHandedOut(t *testing.T) {
	s := newSession(New("/somewhere/a.sock"))
	conn, _, _ := talk()
	s.mu.conn, s.mu.drained, conn.drains = conn, 7, 2
	s.hear(conn, api.LeadEvent{Token: 7, Until: 1000})
	s.hear(conn, api.LeadEvent{Token: 7, Stop: api.StopLost})
	s.hear(conn, api.LeadEvent{Drained: 7})
	s.hear(conn, api.LeadEvent{Token: 7, Until: 2000})
	_, ok := s.Next()
	require.False(t, ok, "the agent is not bound by what it said before both echoes")
	s.hear(conn, api.LeadEvent{Drained: 7})
	s.hear(conn, api.LeadEvent{Token: 7, Until: 3000})
	e, ok := s.Next()
	require.True(t, ok)
	require.EqualValues(t, 3000, e.Until)
}

func TestDeadlinesAreAnsweredAFewTimesInALease(t *testing.T) {
	s := newSession(New("/somewhere/a.sock"))
	conn, heard, say := talk()
	conn.acks = true
	var ended sync.WaitGroup
	ended.Go(func() { s.converse(conn) })
	ended.Go(func() {
		lines := json.NewEncoder(say)
		for until := int64(1000); until < 2000; until += 50 {
			_ = lines.Encode(api.LeadEvent{Token: 7, Until: until, Lease: 500}) // fails once the other end is closed
			_ = lines.Encode(api.LeadEvent{Token: 7, Stop: api.StopLost})
		}
		_ = say.Close()
	})
	n := 0
	for ; heard.Scan(); n++ {
		require.Equal(t, `{"heard":7}`, heard.Text())
	}
	ended.Wait()
	require.Equal(t, 7, n, "at 1000, 1150, ..., 1900: a quarter of a lease is 125")
}

// A stop of a later period must not get lost with what the drain ended.
func TestDrainForgetsNothingOfALaterPeriod(t *testing.T) {
	s := newSession(New("/somewhere/a.sock"))
	conn, _, _ := talk()
	s.mu.conn = conn
	s.hear(conn, api.LeadEvent{Token: 7, Until: 1000})
	s.hear(conn, api.LeadEvent{Token: 7, Stop: api.StopSteppedDown})
	_ = conn.lines.Close() // the drain is decided upon; saying it is not what is tested
	s.sayDrained(5, api.ThenWait)
	s.hear(conn, api.LeadEvent{Token: 7, Until: 2000})
	var got []api.LeadEvent
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		got = append(got, e)
	}
	require.Equal(t, []api.LeadEvent{{Token: 7, Until: 2000}, {Token: 7, Stop: api.StopSteppedDown}}, got)
}

func TestAgentThatHangsDoesNotHangWhoeverSupervisesWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(New("/somewhere/a.sock"))
		conn, _, _ := talk() // nobody reads what is said
		s.mu.conn = conn
		start := time.Now()
		s.Late(7)
		require.Equal(t, drainTime, time.Since(start))
		s.Drained(7, api.ThenWait)
		require.Equal(t, drainTime, time.Since(start), "the connection is given up, and takes nothing more")
	})
}

func TestMailboxKeepsTheNewestDeadlineAndEveryStop(t *testing.T) {
	s := newSession(New("/somewhere/a.sock"))
	conn, _, _ := talk()
	for until := range int64(3) {
		s.hear(conn, api.LeadEvent{Token: 7, Until: until + 1})
	}
	s.hear(conn, api.LeadEvent{Token: 7, Stop: api.StopSteppedDown})
	s.hear(conn, api.LeadEvent{Token: 7, Until: 4})
	s.hear(conn, api.LeadEvent{}) // a later version may say more
	var got []api.LeadEvent
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		got = append(got, e)
	}
	require.Equal(t, []api.LeadEvent{{Token: 7, Until: 4}, {Token: 7, Stop: api.StopSteppedDown}}, got)
	require.Len(t, s.Ready(), 1)
}

func TestDeadlinesOfAnotherClockAreCountedByOurs(t *testing.T) {
	const before, after = 100 * time.Second, 102 * time.Second
	for agents, want := range map[time.Duration]time.Duration{
		before:            0, // the same clock, read in between
		101 * time.Second: 0,
		after:             0,
		after + 1:         before - after - 1,
		before - 1:        1,
		time.Hour:         before - time.Hour,
		0:                 before,
	} {
		require.Equal(t, want, shift(strconv.FormatInt(int64(agents), 10), before, after), "%v", agents)
		// What ends at the agent an hour after its answer never ends later here.
		require.LessOrEqual(t, agents+time.Hour+want, max(after, agents)+time.Hour)
	}
	require.Zero(t, shift("", before, after), "an agent that does not say has our clock")
	require.Zero(t, shift("soon", before, after))

	s := newSession(New("/somewhere/a.sock"))
	conn, _, _ := talk()
	conn.shift = -400
	s.hear(conn, api.LeadEvent{Token: 7, Until: 1000})
	e, _ := s.Next()
	require.EqualValues(t, 600, e.Until)
}

// TestSessionWhoseAgentEndsBeforeItAnswersTriesAgain: package http waits for the request's
// body, which never ends by itself.
func TestSessionWhoseAgentEndsBeforeItAnswersTriesAgain(t *testing.T) {
	c := broken(t, func(conn net.Conn) {
		_, err := http.ReadRequest(bufio.NewReader(conn))
		require.NoError(t, err)
	})
	s := c.Hold(HoldOptions{Patient: true})
	defer s.Close()
	for range 3 {
		next(t, s.Ready())
		e, ok := s.Next()
		require.True(t, ok)
		require.Contains(t, e.Waiting.Here, "has gone away")
	}
}
