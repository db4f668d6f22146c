package port_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/election"
	"duckduckgoose/wire"
)

// header is a message of memberlist's that begins with a map of names to numbers
// of 32 bits.
func header(kind byte, fields ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(fields)/2)}
	for i := 0; i < len(fields); i += 2 {
		name := fields[i].(string)
		b = append(append(b, 0xA0|byte(len(name))), name...)
		b = binary.BigEndian.AppendUint32(append(b, 0xCE), uint32(fields[i+1].(int)))
	}
	return b
}

const pushPull, user, compressed = 6, 8, 9

// hostileStreams are what a hostile peer sends on a stream behind its preface;
// zeros follow each.
func hostileStreams(ring *wire.Keyring) map[string][]byte {
	announced := func(size uint32) []byte {
		head := ring.SealStream(wire.Request, nil)[:wire.StreamHead]
		binary.BigEndian.PutUint32(head[wire.StreamHead-4:], size)
		return head
	}
	members := header(pushPull, "Nodes", 1, "UserStateLen", 0, "Join", 0)
	all := map[string][]byte{
		"nothing": nil, "no preface": nil, "the largest message": announced(wire.MaxGossipStream), "more": announced(wire.MaxGossipStream + 1), "4 GiB": announced(1<<32 - 1),
		"the largest answer": append([]byte{0xDA}, announced(wire.MaxGossipStream)[1:]...),
	}
	for name, message := range map[string][]byte{
		"the largest user message":              header(user, "UserMsgLen", 20<<20),
		"a million members announced":           header(pushPull, "Nodes", 1<<20, "UserStateLen", 0, "Join", 0),
		"a state announced":                     header(pushPull, "Nodes", 0, "UserStateLen", 20<<20, "Join", 0),
		"one member of an endless name":         append(slices.Clone(members), 0x81, 0xA4, 'N', 'a', 'm', 'e', 0xDB, 0x7F, 0xFF, 0xFF, 0xFF),
		"a member of unknown and nested fields": append(slices.Clone(members), 0x81, 0xA1, 'x', 0xDD, 0x7F, 0xFF, 0xFF, 0xFF),
		"something compressed":                  {compressed, 0x82, 0xA4, 'A', 'l', 'g', 'o', 0, 0xA3, 'B', 'u', 'f', 0xC6, 0x01, 0x40, 0, 0},
		"an empty message":                      {},
	} {
		all[name] = ring.SealStream(wire.Request, message)
	}
	return all
}

// run runs an agent on real sockets, and stops it when the test ends.
func run(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.DataDir, cfg.Socket = t.TempDir(), agent.NoSocket
	cfg.Heartbeat, cfg.Lease = time.Second, 10*time.Second // beside a load, and an attack in the same process
	a, err := agent.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return a
}

// hostile keeps opening streams from an address, each with one of the messages,
// and feeds it until it is closed or the test ends.
type hostile struct {
	opened, fed atomic.Int64
	ended       sync.WaitGroup
}

func (h *hostile) attack(ctx context.Context, ring *wire.Keyring, from, to, what string, message []byte) {
	zeros := make([]byte, 64<<10)
	for ctx.Err() == nil {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.DialContext(ctx, "tcp", to)
		if err != nil {
			continue
		}
		h.opened.Add(1)
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if what != "no preface" {
			_ = wire.WritePreface(conn, ring, election.ID{1, byte(h.opened.Load())})
			_, err = conn.Write(append([]byte("\xf4\x07default"), message...))
		}
		if message == nil {
			_, err = io.Copy(io.Discard, conn) // it holds a place
		}
		for err == nil {
			var n int
			n, err = conn.Write(zeros)
			h.fed.Add(int64(n))
		}
		stop()
		_ = conn.Close()
	}
}

// A hostile peer keeps idleAtOnce streams open that only hold a place, and
// busyAtOnce of each other kind: together more than an agent takes.
const idleAtOnce, busyAtOnce = 60, 2

// holder is the key of the flocks that are attacked by one who has it.
var holder = [][]byte{bytes.Repeat([]byte{7}, wire.KeySize)}

func TestHostileStreamsTakeLittleMemoryAndNobodysPlace(t *testing.T) {
	for where, c := range map[string]struct {
		from string
		keys [][]byte
	}{
		"from elsewhere": {from: "127.0.0.2"}, "from the same host": {from: "127.0.0.1"}, "from a key holder": {"127.0.0.2", holder},
	} {
		t.Run(where, func(t *testing.T) {
			from := c.from
			if from == "127.0.0.2" && runtime.GOOS != "linux" {
				t.Skip("127.0.0.2 is no address here")
			}
			ring, err := wire.NewKeyring("default", c.keys)
			require.NoError(t, err)
			var flock []*agent.Agent
			first := ""
			start := func(name string, expect int) *agent.Agent {
				cfg := agent.Config{Name: name, Bind: "127.0.0.1:0", Expect: expect, Keys: c.keys}
				if first != "" {
					cfg.Join = []string{first}
				}
				a := run(t, cfg)
				apitest.Eventually(t, func() bool { return a.Status().Addr != "127.0.0.1:0" }, "its port")
				flock = append(flock, a)
				return a
			}
			all := func(n int) func() bool {
				return func() bool {
					for _, a := range flock {
						if s := a.Status(); s.Alive != n || s.Goose == nil {
							return false
						}
					}
					return true
				}
			}
			a := start("a", 3)
			first = a.Status().Addr
			start("b", 3)
			start("c", 3)
			apitest.Eventually(t, all(3), "all are there")

			heap := func() uint64 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			runtime.GC()
			before, peak := heap(), uint64(0)
			ctx, cancel := context.WithCancel(context.Background())
			var h hostile
			for what, message := range hostileStreams(ring) {
				streams := busyAtOnce
				if message == nil && what != "no preface" {
					streams = idleAtOnce
				}
				for range streams {
					h.ended.Go(func() { h.attack(ctx, ring, from, first, what, message) })
				}
			}
			defer h.ended.Wait()
			defer cancel()
			watched := make(chan struct{})
			go func() {
				defer close(watched)
				for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
					peak = max(peak, heap())
				}
			}()
			apitest.Eventually(t, func() bool { return h.opened.Load() > 200 && h.fed.Load() > 64<<20 }, "the attack is under way")

			// One that joins through the attacked agent pushes its state by a stream;
			// a freeze asks all others by streams, and they answer by streams.
			start("d", 0)
			apitest.Eventually(t, all(4), "a fourth has joined")
			apitest.Eventually(t, func() bool {
				f, err := a.Freeze(context.Background(), time.Minute)
				return err == nil && len(f.Reached) == 4
			}, "all answer the attacked one")
			drops := func(reason string) uint64 { return a.Status().Counters["dropped_stream_"+reason] }
			for _, reason := range []string{"full", "too_large", "malformed", "first_byte", "unknown_kind"} {
				apitest.Eventually(t, func() bool { return drops(reason) > 0 }, "a stream is dropped: %s", reason)
			}
			cancel()
			<-watched
			t.Logf("%d streams opened, %d MiB fed, heap from %d to %d MiB; closed: %d full, %d memory, %d too large, %d malformed",
				h.opened.Load(), h.fed.Load()>>20, before>>20, peak>>20, drops("full"), drops("memory"), drops("too_large"), drops("malformed"))
			require.Less(t, peak-min(before, peak), uint64(64<<20), fmt.Sprintf("heap from %d to %d", before, peak))
		})
	}
}

// gossip makes a datagram of any bytes, by the book: see package wire.
func gossip(t *testing.T, key, body []byte) []byte {
	head := []byte{wire.GossipByte, wire.GossipVersion, 0, 0, 0, 0}
	if key == nil {
		sum := crc32.Checksum(slices.Concat(head, []byte("\x07default"), body), crc32.MakeTable(crc32.Castagnoli))
		return append(binary.BigEndian.AppendUint32(head, sum), body...)
	}
	id, err := hex.DecodeString(wire.KeyID(key))
	require.NoError(t, err)
	copy(head[2:], id)
	sub, err := hkdf.Key(sha256.New, key, nil, "duckduckgoose gossip 2", chacha20poly1305.KeySize)
	require.NoError(t, err)
	aead, err := chacha20poly1305.NewX(sub)
	require.NoError(t, err)
	nonce := make([]byte, aead.NonceSize())
	return aead.Seal(slices.Concat(head, nonce), nonce, body, append(slices.Clone(head), "default"...))
}

// hostilePackets are datagrams of gossip that nobody may be hurt by, as a former
// version, one without a key and one with the flock's key send them.
func hostilePackets(t *testing.T, key []byte, third netip.AddrPort) [][]byte {
	var packets [][]byte
	for _, code := range []byte{0xC6, 0xC9, 0xDB, 0xDD, 0xDF} { // bin32, ext32, str32, array32, map32
		for _, kind := range []byte{0, 1, 2, 3, 4, 5, 8, 9, 11} {
			packets = append(packets, []byte{kind, 0x81, 0xA1, 'x', code, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, []byte{kind, code, 0xFF, 0xFF, 0xFF, 0xFF})
		}
	}
	id := strings.Repeat("0", 32)
	at := third.Addr().As4()
	ping := append([]byte("\x00\x85\xa5SeqNo\x01\xa4Node\xd9\x20"+id+"\xaaSourceAddr\xa4"), at[:]...)
	ping = append(ping, ("\xaaSourcePort\xcd" + string(binary.BigEndian.AppendUint16(nil, third.Port())) + "\xaaSourceNode\xd9\x20" + id)...)
	many := []byte{7, 8}
	for range 8 {
		many = binary.BigEndian.AppendUint16(many, uint16(len(ping)))
	}
	lzw := append([]byte{9, 0x82, 0xA4, 'A', 'l', 'g', 'o', 0, 0xA3, 'B', 'u', 'f', 0xDA, 3, 0}, bytes.Repeat([]byte{0x80, 0x0B}, 384)...)
	packets = append(packets, append(many, bytes.Repeat(ping, 8)...), lzw, nil, []byte{0, 255, 255, 255}, []byte{12, 0, 0, 0, 0}, bytes.Repeat([]byte{7, 1, 0, 250}, 250))
	var all [][]byte
	for _, b := range packets {
		all = append(all, append([]byte("\xf4\x07default"), b...), gossip(t, key, b))
		if len(b) > 0 {
			all = append(all, b)
		}
	}
	return all
}

func TestHostilePacketsTakeLittleMemoryAndReflectNothing(t *testing.T) {
	for who, key := range map[string][]byte{"without a key": nil, "from a key holder": holder[0]} {
		t.Run(who, func(t *testing.T) {
			cfg := agent.Config{Name: "a", Bind: "127.0.0.1:0"}
			if key != nil {
				cfg.Keys = holder
			}
			a := run(t, cfg)
			apitest.Eventually(t, func() bool { return a.Status().Lease.Valid }, "it is the goose")
			third, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			require.NoError(t, err)
			defer third.Close()
			conn, err := net.Dial("udp4", a.Status().Addr)
			require.NoError(t, err)
			defer conn.Close()
			packets := hostilePackets(t, key, third.LocalAddr().(*net.UDPAddr).AddrPort())
			dropped := func() (n uint64) {
				for name, count := range a.Status().Counters {
					if strings.HasPrefix(name, "dropped_gossip_") {
						n += count
					}
				}
				return n
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for round := range 5 {
				for i, b := range packets {
					_, err := conn.Write(b)
					require.NoError(t, err)
					if i%16 == 0 { // no faster than it reads: each is to be counted
						apitest.Eventually(t, func() bool { return dropped() >= uint64(round*len(packets)+i+1) }, "dropped")
					}
				}
				apitest.Eventually(t, func() bool { return dropped() >= uint64((round+1)*len(packets)) }, "all dropped")
			}
			runtime.ReadMemStats(&after)
			t.Logf("%d packets, %d KiB allocated", 5*len(packets), (after.TotalAlloc-before.TotalAlloc)>>10)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
			apitest.Eventually(t, func() bool { return a.Status().Lease.Valid }, "it is the goose still")

			// An answer to the last of them would have come before this one's.
			_, err = conn.Write(third.LocalAddr().(*net.UDPAddr).IP)
			require.NoError(t, err)
			apitest.Eventually(t, func() bool { return dropped() >= uint64(5*len(packets))+1 }, "the last is dropped")
			require.NoError(t, third.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			_, _, err = third.ReadFromUDP(make([]byte, 10))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

func TestAFormerVersionIsToldAndRefused(t *testing.T) {
	a := run(t, agent.Config{Name: "a", Bind: "127.0.0.1:0"})
	apitest.Eventually(t, func() bool { return a.Status().Lease.Valid }, "it is the goose")
	warned := func(text string) func() bool {
		return func() bool {
			return slices.ContainsFunc(a.Status().Warnings, func(w string) bool { return strings.Contains(w, text) })
		}
	}
	udp, err := net.Dial("udp4", a.Status().Addr)
	require.NoError(t, err)
	defer udp.Close()
	for range 3 {
		_, err = udp.Write(append([]byte("\xf4\x07default\x01"), make([]byte, 60)...))
		require.NoError(t, err)
	}
	apitest.Eventually(t, warned("127.0.0.1 gossips as a former version of ddgoose does: it cannot join: run the same version of ddgoose everywhere"), "told")

	tcp, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp4", a.Status().Addr)
	if err != nil {
		t.Skip("127.0.0.2 is no address here")
	}
	defer tcp.Close()
	_, err = tcp.Write(append(append([]byte{wire.StreamByte, 1, 0, 0, 0, 0, 20}, make([]byte, 20)...), "\xf4\x07default"...))
	require.NoError(t, err)
	answer, err := io.ReadAll(tcp)
	require.NoError(t, err)
	require.Equal(t, "\xf4\x07default\x02", string(answer))
	apitest.Eventually(t, warned("127.0.0.2 speaks frame version 1, we speak 2: it cannot join"), "told")
	apitest.Eventually(t, func() bool {
		counts := a.Status().Counters
		return counts["dropped_gossip_old_gossip"] == 3 && counts["refused_stream_frame_version"] == 1
	}, "each is counted")
}
