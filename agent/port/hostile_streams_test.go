package port_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/port"
	"duckduckgoose/wire"
)

// run runs an agent on real sockets, and stops it when the test ends.
func run(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.DataDir, cfg.Socket = t.TempDir(), agent.NoSocket
	cfg.Profile = "wan" // a busy machine
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

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, 10*time.Millisecond, what)
}

// hostile keeps opening streams from an address, each with one of the messages,
// and feeds it until it is closed or the test ends.
type hostile struct {
	opened, fed atomic.Int64
	ended       sync.WaitGroup
}

func (h *hostile) attack(ctx context.Context, from, to, what string, message []byte) {
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
			_ = wire.WritePreface(conn, must(wire.NewKeyring("default", nil)), election.ID{1, byte(h.opened.Load())})
			_, err = conn.Write(append(append([]byte{port.LabelByte, 7}, "default"...), message...))
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// streamsAtOnce is how many streams a hostile peer keeps open of each kind.
const streamsAtOnce = 8

func TestHostileStreamsTakeLittleMemoryAndNobodysPlace(t *testing.T) {
	for where, from := range map[string]string{"from elsewhere": "127.0.0.2", "from the same host": "127.0.0.1"} {
		t.Run(where, func(t *testing.T) {
			if from == "127.0.0.2" && runtime.GOOS != "linux" {
				t.Skip("127.0.0.2 is no address here")
			}
			var flock []*agent.Agent
			first := ""
			start := func(name string, expect int) *agent.Agent {
				cfg := agent.Config{Name: name, Bind: "127.0.0.1:0", Expect: expect}
				if first != "" {
					cfg.Join = []string{first}
				}
				a := run(t, cfg)
				eventually(t, "its port", func() bool { return a.Status().Addr != "127.0.0.1:0" })
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
			eventually(t, "all are there", all(3))

			heap := func() uint64 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			runtime.GC()
			before, peak := heap(), uint64(0)
			ctx, cancel := context.WithCancel(context.Background())
			var h hostile
			for what, message := range port.BigMessages {
				for range streamsAtOnce {
					h.ended.Go(func() { h.attack(ctx, from, first, what, message) })
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
			eventually(t, "the attack is under way", func() bool { return h.opened.Load() > 500 && h.fed.Load() > 64<<20 })

			// One that joins through the attacked agent pushes its state by a stream;
			// a freeze asks all others by streams, and they answer by streams.
			start("d", 0)
			eventually(t, "a fourth has joined", all(4))
			eventually(t, "all answer the attacked one", func() bool {
				f, err := a.Freeze(context.Background(), time.Minute)
				return err == nil && len(f.Reached) == 4
			})
			cancel()
			<-watched
			counts := a.Status().Counters
			drops := func(reason string) uint64 { return counts["dropped_stream_"+reason] }
			t.Logf("%d streams opened, %d MiB fed, heap from %d to %d MiB; closed: %d full, %d memory, %d large, %d malformed",
				h.opened.Load(), h.fed.Load()>>20, before>>20, peak>>20, drops("full"), drops("memory"), drops("large"), drops("malformed"))
			for _, reason := range []string{"full", "large", "malformed"} {
				require.Positive(t, drops(reason), reason)
			}
			require.Less(t, peak-min(before, peak), uint64(64<<20), fmt.Sprintf("heap from %d to %d", before, peak))
		})
	}
}
