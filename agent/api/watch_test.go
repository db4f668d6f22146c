package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// watch opens GET /v1/watch.
func watch(t *testing.T, c *http.Client) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://agent/v1/watch", nil)
	require.NoError(t, err)
	resp, err := c.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() }) // the server may have ended it
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "application/x-ndjson", resp.Header.Get("Content-Type"))
	return bufio.NewReader(resp.Body)
}

func nextStatus(t *testing.T, lines *bufio.Reader) (s api.Status) {
	t.Helper()
	line, err := lines.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &s))
	require.Equal(t, 1, bytes.Count(line, []byte("\n")), "one document a line")
	return s
}

func TestWatchGivesTheFullStatusThenChanges(t *testing.T) {
	a := working()
	_, c := serveSocket(t, a)
	lines := watch(t, c)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.JSONEq(t, contract, line)

	a.Change(func(s *api.Status) { s.Seq, s.Term = 42, 8 })
	got := nextStatus(t, lines)
	require.Equal(t, a.Status(), got, "a whole document each time")
}

func TestSlowWatcherSkipsToTheLatest(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	lines := watch(t, c)
	nextStatus(t, lines)
	const last = 20_000 // more than the socket holds
	for i := range last {
		a.Change(func(s *api.Status) { s.Seq = uint64(i) + 1 })
	}
	for before, seq := uint64(0), uint64(0); seq != last; before = seq {
		seq = nextStatus(t, lines).Seq
		require.Greater(t, seq, before)
	}
}

func TestWatchEndsWithItsReader(t *testing.T) {
	a := apitest.New()
	_, c := serveSocket(t, a)
	req, err := http.NewRequest("GET", "http://agent/v1/watch", nil)
	require.NoError(t, err)
	resp, err := c.Do(req)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return a.Watching() == 1 }, soon, time.Millisecond)
	require.NoError(t, resp.Body.Close())
	require.Eventually(t, func() bool { return a.Watching() == 0 }, soon, time.Millisecond)
}

func TestHeadOfAWatchWatchesNothing(t *testing.T) {
	got := ask(apitest.New(), api.Local, "HEAD", "/v1/watch", "")
	require.Equal(t, http.StatusOK, got.code)
	require.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
	require.Empty(t, got.body)
}

func TestCloseEndsWatchesWithAWholeLine(t *testing.T) {
	a := apitest.New()
	s, c := serveSocket(t, a)
	lines := watch(t, c)
	nextStatus(t, lines)
	require.NoError(t, s.Close())
	_, err := lines.ReadByte()
	require.EqualError(t, err, "EOF", "and no broken stream")
	require.Zero(t, a.Watching())
}
