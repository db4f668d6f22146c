package client

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// now runs Lead for a job that is done if the agent is the goose now.
func now(t *testing.T, c *Client) chan error {
	result := make(chan error, 1)
	go func() {
		result <- c.Lead(t.Context(), func(context.Context, lead.Lease) error { return nil }, lead.Try(0), lead.Keep())
	}()
	return result
}

func TestTryEndsWithWhatTheAgentSays(t *testing.T) {
	a, c := running(t)
	result := now(t, c)
	h := next(t, a.Holders)
	h.Send(api.LeadEvent{Waiting: &api.Waiting{Goose: "b"}})
	err := next(t, result)
	require.ErrorIs(t, err, lead.ErrNotGoose)
	require.EqualError(t, err, "b is the goose, not this agent")
	require.Empty(t, h.Heard())
}

func TestKeepIsBookedBeforeLeadReturns(t *testing.T) {
	a, c := running(t)
	result := now(t, c)
	h := next(t, a.Holders)
	h.Renew(7, boottime.Now(), soon)
	require.NoError(t, next(t, result))
	require.Equal(t, []string{"drained 7, leave"}, h.Heard())
}

func TestTryGivesUpOnAnAgentThatHangs(t *testing.T) {
	c := broken(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	require.ErrorIs(t, next(t, now(t, c)), lead.ErrNotGoose)
}

func TestPatientSessionSaysThatNoAgentAnswers(t *testing.T) {
	path := socketPath(t)
	s := New(path).Hold(HoldOptions{Patient: true})
	defer s.Close()
	next(t, s.Ready())
	e, ok := s.Next()
	require.True(t, ok)
	require.Contains(t, e.Waiting.String(), "no agent answers at "+path)
	a := apitest.New()
	start(t, path, a)
	next(t, a.Holders)
}
