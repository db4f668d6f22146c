package agent

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/netem/memory"
	"duckduckgoose/wire"
)

// stranger is a program without the key that knows everything agents show in clear.
type stranger struct {
	t              *testing.T
	e              *memory.Endpoint
	ring           *wire.Keyring
	bytes, packets int // received
}

func (f *testFlock) stranger(host int) *stranger {
	e, err := f.net.Listen(f.addr(66, host))
	require.NoError(f.t, err)
	ring, err := wire.NewKeyring("test", nil)
	require.NoError(f.t, err)
	s := &stranger{t: f.t, e: e, ring: ring}
	e.Receive(func(b []byte, _ netip.AddrPort) { s.bytes, s.packets = s.bytes+len(b), s.packets+1 }, func(c net.Conn) { _ = c.Close() })
	return s
}

// send sends one frame, and returns its size.
func (s *stranger) send(to *testAgent, f *wire.Frame) int {
	s.t.Helper()
	body, err := wire.AppendFrame(nil, f)
	require.NoError(s.t, err)
	b, err := s.ring.Seal(nil, body)
	require.NoError(s.t, err)
	require.NoError(s.t, s.e.WriteTo(b, to.addr))
	return len(b)
}

// provoke sends one datagram of each kind to a goose and to a duck, each from an
// agent and an address of its own, and demands silence.
func (f *testFlock) provoke() {
	host := 0
	for _, name := range []string{f.goose(), f.ducks()[0]} {
		st := f.agents[name].Status()
		for _, term := range []uint64{0, st.Term, st.Term + 1} {
			for kind := election.PreVoteRequest; kind <= election.Announce; kind++ {
				m := election.Message{Kind: kind}
				switch m.Term = term; kind {
				case election.PreVoteRequest:
					m.NextTerm = st.Term + 1
				case election.Heartbeat, election.HeartbeatAck:
					m.Promise = time.Second
				}
				host++
				s := f.stranger(host)
				sent := s.send(f.agents[name], &wire.Frame{
					From: election.ID{66, byte(host)}, Start: 1, Life: 1, Seq: 1, FlockID: flockOf(f.t, st.FlockID), To: idOf(f.t, st.ID),
					Messages: []wire.Message{{Message: m}},
				})
				f.sleep(time.Second) // more than a lease
				synctest.Wait()
				require.Zero(f.t, s.packets, "%s, %v of term %d: %d bytes are answered by %d", st.Role, kind, term, sent, s.bytes)
				require.NoError(f.t, s.e.Close())
			}
		}
	}
}

// A stranger may claim any address as its own. Without a key it may also claim to be a
// member: nothing can prevent that.
func TestAStrangerIsNotAnswered(t *testing.T) {
	for name, keys := range map[string][][]byte{"without a key": nil, "with a key": {key('x')}} {
		t.Run(name, func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				f.keys = keys
				f.found(5)
				f.allAlive()
				f.provoke()
				require.Equal(t, keys == nil, f.agents[f.goose()].Status().Counters["unanswered_strangers"] > 0)
			})
		})
	}
}

func idOf(t *testing.T, text string) election.ID {
	id, err := election.ParseID(text)
	require.NoError(t, err)
	return id
}

func flockOf(t *testing.T, text string) (id election.FlockID) {
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	copy(id[:], b)
	return id
}
