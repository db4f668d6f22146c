package gossip

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/memtest"
	"duckduckgoose/agent/seeds"
	"duckduckgoose/netem/memory"
	"duckduckgoose/wire"
)

// attacker is a key holder beside one agent that gossips, in real time.
type attacker struct {
	t    testing.TB // of the present input
	f    *flock
	e    *memory.Endpoint
	ring *wire.Keyring
}

func newAttacker(t testing.TB) *attacker {
	f := &flock{t: t, net: memory.New()}
	f.start(0)
	e, err := f.net.Listen(netip.MustParseAddrPort("10.0.9.9:1"))
	require.NoError(t, err)
	e.Receive(func([]byte, netip.AddrPort) {}, func(c net.Conn) { _ = c.Close() })
	ring, err := wire.NewKeyring("test", [][]byte{make([]byte, wire.KeySize)})
	require.NoError(t, err)
	t.Cleanup(func() {
		f.agents[0].Shutdown()
		require.NoError(t, f.net.Close())
	})
	return &attacker{t: t, f: f, e: e, ring: ring}
}

func (a *attacker) target() netip.AddrPort { return a.f.agents[0].opts.Port.Advertised() }

// packet sends a packet that passes the walk, and waits until memberlist has it.
func (a *attacker) packet(body []byte) {
	datagram := a.ring.SealGossip(nil, body)
	if _, err := a.ring.OpenGossip(nil, datagram); err != nil {
		return
	}
	counts := a.f.agents[0].counts
	before := counts.Of("gossip_received").Load()
	require.NoError(a.t, a.e.WriteTo(datagram, a.target()))
	for end := time.Now().Add(time.Minute); counts.Of("gossip_received").Load() == before; time.Sleep(100 * time.Microsecond) {
		require.True(a.t, time.Now().Before(end), "it reads no more")
	}
}

// stream sends a message on a stream, and waits until memberlist has closed it.
func (a *attacker) stream(body []byte) {
	sealed := a.ring.SealStream(wire.Request, body)
	if _, _, err := a.ring.OpenStream(wire.Request, sealed[:wire.StreamHead], bytes.Clone(sealed[wire.StreamHead:])); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := a.e.Dial(ctx, a.target())
	require.NoError(a.t, err)
	defer conn.Close()
	require.NoError(a.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(a.t, wire.WritePreface(conn, a.ring, election.ID{9}))
	_, err = conn.Write(append([]byte("\xf4\x04test"), sealed...))
	require.NoError(a.t, err)
	_, err = io.ReadAll(conn)
	require.NoError(a.t, err)
}

// rumor is what a key holder may say of an agent.
type rumor struct {
	kind, node, state byte
	incarnation       uint32
	flock, life       byte
	name              string
}

// bytes returns the message; kind 6 is a whole state of one member.
func (r rumor) bytes(t testing.TB) []byte {
	id, addr := election.ID{1, r.node}.String(), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 8, r.node}), seeds.DefaultPort)
	meta, err := encode(&member.Meta{Name: r.name, FlockID: election.FlockID{r.flock}, Start: 1, Life: uint64(r.life)})
	if err != nil {
		meta = []byte(r.name)
	}
	summed := sumMeta(meta, id, addr)
	fields := map[string]any{
		"Incarnation": r.incarnation, "Node": id, "Addr": addr.Addr().AsSlice(), "Port": addr.Port(), "Meta": summed[:min(len(summed), 512)], "Vsn": []byte{1, 5, 2, 0, 0, 0},
	}
	out := []byte{r.kind}
	switch r.kind {
	case 3, 5:
		fields = map[string]any{"Incarnation": r.incarnation, "Node": id, "From": election.ID{1, r.state}.String()}
	case 6:
		header, err := msgpack.Marshal(map[string]any{"Nodes": 1, "UserStateLen": 0, "Join": r.life%2 == 0})
		require.NoError(t, err)
		out = append(out, header...)
		fields["Name"], fields["State"] = id, r.state%4
		delete(fields, "Node")
	}
	b, err := msgpack.Marshal(fields)
	require.NoError(t, err)
	return append(out, b...)
}

// traffic is what real agents sent.
func traffic(t testing.TB) (all [][]byte) {
	text, err := os.ReadFile("../../../wire/testdata/gossip.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if name, digits, _ := strings.Cut(strings.TrimSpace(line), " "); name != "#" {
			b, err := hex.DecodeString(digits)
			require.NoError(t, err)
			all = append(all, b)
		}
	}
	return all
}

// FuzzMemberlist: nothing that a key holder can get past the walk makes memberlist
// or what hangs on it panic, or stop to read.
func FuzzMemberlist(f *testing.F) {
	for i, b := range traffic(f) {
		for _, kind := range []byte{3, 4, 5, 6} {
			f.Add(b, kind, byte(i), byte(i%4), uint32(i), byte(7), "b")
		}
	}
	f.Add([]byte{}, byte(4), byte(0), byte(0), uint32(1<<32-1), byte(0), "a")
	f.Add([]byte{}, byte(3), byte(0), byte(1), uint32(1<<32-1), byte(7), "a")
	a := newAttacker(f)
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, body []byte, kind, node, state byte, incarnation uint32, flock byte, name string) {
		memory.Input(t, func() {
			a.t = t
			a.packet(body)
			a.stream(body)
			said := rumor{kind, node, state, incarnation, flock, node + state, name}.bytes(t)
			a.packet(said)
			a.stream(said)
		})
	})
}

// What the rumors of the fuzzer are made of is believed, so that it reaches more
// than the walk.
func TestRumorsAreBelieved(t *testing.T) {
	a := newAttacker(t)
	for kind, node := range map[byte]byte{4: 5, 6: 6} {
		b := rumor{kind: kind, node: node, incarnation: 1, flock: 7, life: 2, name: "b" + string(rune('0'+kind))}.bytes(t)
		a.packet(b)
		a.stream(b)
		require.Eventually(t, func() bool {
			_, alive := a.f.agents[0].Alive(election.ID{1, node})
			return alive
		}, time.Minute, time.Millisecond)
	}
}
