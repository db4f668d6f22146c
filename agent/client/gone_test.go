//go:build linux

package client

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// wardened is an agent that has a warden, which the test is.
func wardened(t *testing.T) (a *apitest.Agent, c *Client, stop func(), warden *net.UnixConn) {
	t.Helper()
	path := socketPath(t)
	a = apitest.New()
	a.Warden = path + ".warden"
	warden, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: a.Warden, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { warden.Close() })
	return a, New(path), start(t, path, a), warden
}

// hearsProof waits for one.
func hearsProof(t *testing.T, warden *net.UnixConn) {
	t.Helper()
	b := make([]byte, 100)
	require.NoError(t, warden.SetReadDeadline(time.Now().Add(soon)))
	n, err := warden.Read(b)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%016x", apitest.WardenProof), string(b[:n]))
}

// hearsNothing proves that nothing was heard so far: what comes first is what the test sends now.
func hearsNothing(t *testing.T, warden *net.UnixConn) {
	t.Helper()
	_, err := warden.WriteTo([]byte("nothing"), warden.LocalAddr())
	require.NoError(t, err)
	b := make([]byte, 100)
	require.NoError(t, warden.SetReadDeadline(time.Now().Add(soon)))
	n, err := warden.Read(b)
	require.NoError(t, err)
	require.Equal(t, "nothing", string(b[:n]))
}

// The agent dies: work ends at once, whatever is left of the lease, and the warden hears of it
// when work has returned.
func TestWorkEndsWithItsAgentAndTheWardenHearsOfIt(t *testing.T) {
	a, c, stop, warden := wardened(t)
	working, mayEnd := make(chan error, 1), make(chan struct{})
	go func() {
		_ = c.Lead(timely(t), func(ctx context.Context, l lead.Lease) error {
			working <- nil
			<-ctx.Done()
			working <- context.Cause(ctx)
			<-mayEnd
			return nil
		})
	}()
	h := next(t, a.Holders)
	h.Renew(7, boottime.Now(), time.Hour)
	require.NoError(t, next(t, working))
	stop()
	require.ErrorIs(t, next(t, working), lead.ErrLeaseLost)
	hearsNothing(t, warden)
	close(mayEnd)
	hearsProof(t, warden)
}

// A session that has no deadline says so, or the will would wait for it.
func TestASessionWithoutWorkAnswersForItsConnections(t *testing.T) {
	a, c, stop, warden := wardened(t)
	s := c.Hold(HoldOptions{})
	t.Cleanup(s.Close)
	h := next(t, a.Holders)
	h.Renew(7, boottime.Now(), time.Hour)
	next(t, s.Ready())
	s.Drained(7, api.ThenWait)
	hearsNothing(t, warden)
	stop()
	hearsProof(t, warden)
}

// What a proof is for never counts again: no deadline of that connection is taken after it.
func TestAProofEndsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(New("/somewhere/a.sock"))
		conn, _, _ := talk()
		conn.proof = proof{"/nowhere/a.sock.warden", 5}
		s.attach(conn)
		s.hear(conn, api.LeadEvent{Token: 7, Until: 1000})
		s.hear(conn, api.LeadEvent{Token: 8, Until: 2000})
		s.Drained(7, api.ThenWait)
		require.Len(t, s.mu.proofs, 1, "token 8 may still be acted by")
		require.False(t, conn.dead)
		_, ok := s.Next()
		require.True(t, ok)
		s.Drained(8, api.ThenWait)
		require.Empty(t, s.mu.proofs)
		require.True(t, conn.dead)
		s.hear(conn, api.LeadEvent{Token: 9, Until: 3000})
		_, ok = s.Next()
		require.False(t, ok)
	})
}

func TestWithoutAWardenAConnectionOutlivesADrainThatNobodyBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(New("/somewhere/a.sock"))
		conn, _, _ := talk()
		s.attach(conn)
		s.hear(conn, api.LeadEvent{Token: 7, Until: 1000})
		s.reportGone()
		s.Drained(7, api.ThenWait)
		require.False(t, conn.dead)
	})
}

func TestProofOfAHeader(t *testing.T) {
	require.Equal(t, proof{"/a b/c.warden", 0x77}, proofOf("0000000000000077 /a b/c.warden"))
	require.Zero(t, proofOf(""))
	require.Zero(t, proofOf("x /a"))
}
