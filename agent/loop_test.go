package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// A promise that counts from before its heartbeat arrived may end before the goose's lease.
func TestRule11DatagramsAreHandledByALaterReadingOfTheClock(t *testing.T) {
	r := newRig(t, nil)
	arrived := map[election.ID]time.Duration{}
	r.read = func() { // one arrives right after each reading
		if r.n == 0 {
			return
		}
		r.n--
		body, err := r.keys.Open(nil, r.sent[r.n])
		require.NoError(t, err)
		require.NoError(t, wire.DecodeFrame(body, &r.in))
		r.now++
		arrived[r.in.From] = r.now
		r.l.inbox.Take(r.sent[r.n], netip.MustParseAddrPort("127.0.0.1:4000"))
	}
	for range 20 {
		r.now += r.l.cfg.Heartbeat / 10
		began := r.now
		r.loop(t)
		for id, at := range arrived {
			if heardAt := r.l.member.Sighting(id, r.now).HeardAt; heardAt >= began {
				require.GreaterOrEqual(t, heardAt, at)
			}
		}
	}
	require.Len(t, arrived, 4)
}
