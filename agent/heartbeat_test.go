package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/inbox"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/wire"
)

// rig is one life whose loop the test runs step by step. The test sets its clock, and
// four voters grant every request.
type rig struct {
	l    *life
	now  time.Duration
	read func() // called after each reading of the clock; nil: nothing
	// asleep is by how much the boot clock is ahead.
	asleep time.Duration
	rings  chan time.Time // nil: the loop uses a timer of Go's
	wakes  func(after time.Duration)
	keys   *wire.Keyring
	in     wire.Frame
	out    wire.Frame
	body   []byte
	sent   [][]byte // replies that wait; their memory is reused
	n      int
	seq    map[election.ID]uint64
}

// rigNet is the network of a rig: what the agent sends is answered.
type rigNet struct {
	r    *rig
	addr netip.AddrPort
}

func (n rigNet) Alarm() (<-chan time.Time, func(time.Duration)) { return n.r.rings, n.r.wakes }

func (n rigNet) Receive(func([]byte, netip.AddrPort), func(net.Conn)) {}
func (n rigNet) Dial(context.Context, netip.AddrPort) (net.Conn, error) {
	return nil, net.ErrClosed
}
func (n rigNet) LocalAddr() netip.AddrPort { return n.addr }
func (n rigNet) Close() error              { return nil }
func (n rigNet) WriteTo(b []byte, _ netip.AddrPort) error {
	if len(b) > 0 && b[0] == wire.FirstByte {
		n.r.answer(b)
	}
	return nil
}

func newRig(tb testing.TB, keys [][]byte) *rig {
	r := &rig{now: time.Hour, seq: map[election.ID]uint64{}, body: make([]byte, 0, wire.MaxDatagram)}
	clock := func() time.Duration {
		now := r.now
		if r.read != nil {
			r.read()
		}
		return now
	}
	cfg := Config{
		Name: "a", DataDir: "/data", FS: memfs.New(1), Socket: NoSocket, Keys: keys, MonotonicClock: clock,
		Clock: func() time.Duration { return clock() + r.asleep },
		Listen: func(string) (Transport, Faults, error) {
			return rigNet{r, netip.MustParseAddrPort("127.0.0.1:3825")}, nil, nil
		},
		Join: []string{"127.0.0.1:9"},
	}
	a, err := New(cfg)
	require.NoError(tb, err)
	r.keys, err = wire.NewKeyring(a.cfg.Flock, keys)
	require.NoError(tb, err)
	c := election.Config{ConfigID: election.ConfigID{Version: 1}}.With(election.Voter{ID: a.disk.State().ID, Priority: 100})
	for i := range byte(4) {
		id := election.ID{i + 1}
		c = c.With(election.Voter{ID: id, Priority: 100})
		require.NoError(tb, a.disk.SavePeers(append(a.disk.Peers(), store.Peer{ID: id, Name: string('b' + i), Addr: fmt.Sprintf("127.0.0.1:%d", 4000+int(i))})))
	}
	st := a.disk.State().WithRecord(election.Record{FlockID: election.FlockID{7}, Config: c})
	st.Bound = election.FlockID{7}
	require.NoError(tb, a.disk.Save(st))
	r.l, err = a.newLife()
	require.NoError(tb, err)
	tb.Cleanup(func() {
		r.l.close()
		require.NoError(tb, a.Close())
	})
	for range 400 {
		r.turn(tb)
	}
	require.Equal(tb, "goose", a.Status().Role)
	return r
}

// turn lets a tenth of a heartbeat pass: due datagrams are sent, and all answers
// arrive.
func (r *rig) turn(tb testing.TB) {
	r.now += r.l.cfg.Heartbeat / 10
	r.loop(tb)
	for i := range r.n {
		r.l.inbox.Take(r.sent[i], netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 4000))
	}
	r.n = 0
	r.loop(tb)
}

// loop is one round of the life's loop, which a datagram wakes if one waits.
func (r *rig) loop(tb testing.TB) {
	var first *inbox.Arrival
	select {
	case first = <-r.l.inbox.Waiting():
	default:
	}
	if _, err := r.l.turn(first); err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) answer(b []byte) {
	body, err := r.keys.Open(r.body[:0], b)
	if err != nil || wire.DecodeFrame(body, &r.in) != nil {
		panic("a frame of our own does not decode")
	}
	r.out.FlockID, r.out.From, r.out.To, r.out.Start, r.out.Life = r.in.FlockID, r.in.To, r.in.From, 1, 1
	r.out.Messages = r.out.Messages[:0]
	for i := range r.in.Messages {
		m := &r.in.Messages[i]
		reply := wire.Message{Message: election.Message{Header: m.Header}}
		switch m.Kind {
		case election.PreVoteRequest:
			reply.Kind, reply.Granted, reply.Nonce = election.PreVoteReply, true, m.Nonce
		case election.VoteRequest:
			reply.Kind, reply.Granted = election.VoteReply, true
		case election.Heartbeat:
			reply.Kind, reply.Round, reply.Promise = election.HeartbeatAck, m.Round, m.Promise
		default:
			return
		}
		r.out.Messages = append(r.out.Messages, reply)
	}
	r.seq[r.out.From]++
	r.out.Seq = r.seq[r.out.From]
	body, err = wire.AppendFrame(r.body[:0], &r.out)
	if err != nil {
		panic(err)
	}
	if r.n == len(r.sent) {
		r.sent = append(r.sent, make([]byte, 0, wire.MaxDatagram))
	}
	if r.sent[r.n], err = r.keys.Seal(r.sent[r.n][:0], body); err != nil {
		panic(err)
	}
	r.n++
}

// look makes the member look at everything now, and not again for 200 ms.
func (r *rig) look(tb testing.TB) {
	r.l.member.LookNow()
	r.loop(tb)
}

func TestAHeartbeatRoundAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	r := newRig(t, nil)
	before := r.l.sent.Load()
	// memberlist works in the background, so the smallest of several tries counts.
	least := 1e9
	for range 20 {
		r.look(t)
		// The result is rounded down, so a run is a round of ten turns.
		least = min(least, testing.AllocsPerRun(2, func() {
			for range 10 {
				r.turn(t)
			}
		}))
	}
	require.Zero(t, least)
	require.Greater(t, r.l.sent.Load()-before, uint64(100))
}

// BenchmarkGooseRound is one heartbeat to four voters and their four acks.
func BenchmarkGooseRound(b *testing.B) {
	for name, keys := range map[string][][]byte{"plain": nil, "sealed": {key('x')}} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, keys)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%3 == 0 {
					b.StopTimer()
					r.look(b)
					b.StartTimer()
				}
				for range 10 {
					r.turn(b)
				}
			}
		})
	}
}

// BenchmarkLook is what the loop does five times a second beside it.
func BenchmarkLook(b *testing.B) {
	r := newRig(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		r.look(b)
	}
}

// BenchmarkStatus is one reader's look.
func BenchmarkStatus(b *testing.B) {
	r := newRig(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if r.l.Status().Role != "goose" {
			b.Fatal("no goose")
		}
	}
}
