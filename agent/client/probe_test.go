package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestProbeSaysYesOrWhyNot(t *testing.T) {
	a, c := running(t)
	ctx := timely(t)
	for question, no := range map[string]string{ProbeGoose: "", ProbeDuck: "not a duck", ProbeHealth: "", ProbeReady: ""} {
		p, err := c.Probe(ctx, question)
		require.NoError(t, err, question)
		require.Equal(t, api.Probe{Role: api.RoleGoose, Goose: "a", Token: 7, Error: no}, p, question)
	}
	a.Sicken(errors.New("the loop has not run for 1s"))
	p, err := c.Probe(ctx, ProbeHealth)
	require.NoError(t, err)
	require.Equal(t, "the loop has not run for 1s", p.Error)

	a.Change(func(s *api.Status) { s.Role, s.Goose = api.RoleCandidate, nil })
	for _, question := range []string{ProbeGoose, ProbeDuck, ProbeReady} {
		p, err := c.Probe(ctx, question)
		require.NoError(t, err, question)
		require.NotEmpty(t, p.Error, question)
		require.Empty(t, p.Goose, question)
		require.Zero(t, p.Token, question)
	}
	_, err = c.Probe(ctx, "swan")
	require.ErrorIs(t, err, api.ErrNotFound)
}

func TestProbeTakesNoOtherServersWord(t *testing.T) {
	for _, c := range []struct {
		code   int
		answer string
	}{
		{http.StatusOK, `{"ok": true}`},
		{http.StatusOK, `{"role": "goose", "error": "not the goose"}`},
		{http.StatusServiceUnavailable, `{"role": "goose"}`},
		{http.StatusServiceUnavailable, `<html>`},
	} {
		other := broken(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn)) // the client may be gone
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s", c.code, len(c.answer), c.answer)
		})
		_, err := other.Probe(timely(t), ProbeGoose)
		require.ErrorContains(t, err, "is not a ddgoose agent: ", c.answer)
	}
}
