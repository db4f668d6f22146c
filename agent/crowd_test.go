package agent

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/wire"
)

var (
	crowdSize      = flag.Int("crowd.agents", 45, "how many agents TestACrowdIsToldEverywhere has, most of which start within a second")
	crowdCores     = flag.Int("crowd.cores", 2, "the processors of their machine")
	crowdElections = flag.Int("crowd.elections", 3, "how many elections besides the default one TestACrowdKnowsTheGeeseOfAllElections has")
)

// TestACrowdIsToldEverywhere starts a flock of voters and then many agents within a
// second, all on one machine: the goose keeps its lease, and soon all know it. Then it
// dies, and all know the next one at once. It logs the row of a table: see
// netem/README.md.
func TestACrowdIsToldEverywhere(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		before := memoryOfAll()
		f.cores = make(cores, *crowdCores)
		f.found(5)
		goose, token := f.goose(), f.agents[f.goose()].state().Token
		n, began := *crowdSize, time.Now()
		for i := range n - 5 {
			f.start(fmt.Sprintf("crowd%d", i), joining("10.0.0.1:3825", "10.0.0.1:3826"))
			f.sleep(time.Second / time.Duration(n))
		}
		least := time.Hour
		f.eventually(max(10*time.Second, time.Duration(n)*20*time.Millisecond), "all know the goose", func() bool {
			least = min(least, f.leaseLeft(goose))
			return f.agreed(f.live()...)
		})
		known := time.Since(began)
		f.eventually(5*time.Minute, "all count all, if need be by memberlist's next exchanges", func() bool {
			least = min(least, f.leaseLeft(goose))
			for _, name := range f.live() {
				if f.agents[name].state().Alive != n {
					return false
				}
			}
			return true
		})
		joined := time.Since(began)
		require.Equal(t, []any{goose, token}, []any{f.goose(), f.agents[goose].state().Token}, "the goose stays")
		require.Greater(t, least, 125*time.Millisecond, "the goose is not even near to the end of its lease")

		f.sleep(2 * time.Second)
		memory := (memoryOfAll() - before) / float64(n)
		const idle = 5 * time.Second
		own, all, cpu := f.sent(goose), f.sent(f.live()...), cpuOfAll()
		f.sleep(idle)
		own, all, cpu = f.sent(goose).since(own), f.sent(f.live()...).since(all), cpuOfAll()-cpu
		require.Less(t, own.datagrams/idle.Seconds(), 450.0, "to 4 voters, 8 candidates, 16 relays, and gossip")

		f.crash(goose)
		f.until(5*time.Second, "another goose", func() bool { return f.goose() != "" })
		at := time.Now()
		f.eventually(time.Second, "99 % know it", func() bool {
			knowing := 0
			for _, name := range f.live() {
				if s := f.agents[name].state(); s.Goose != nil && s.Token > token {
					knowing++
				}
			}
			return knowing*100 >= 99*len(f.live())
		})
		told := time.Since(at)
		s, each := idle.Seconds(), float64(n)*idle.Seconds()
		t.Logf("%d agents: all know the goose after %.1f s (at least %v of its lease left), and one another after %.1f s; 99 %% know the next goose %d ms after its win; a second, the goose sends %.0f datagrams, %.0f bytes, and an agent %.1f datagrams, %.0f bytes; an agent takes %.3f %% of a core, and %.2f MB",
			n, known.Seconds(), least, joined.Seconds(), told.Milliseconds(), own.datagrams/s, own.bytes/s, all.datagrams/each, all.bytes/each, 100*cpu.Seconds()/each, memory)
		require.LessOrEqual(t, told, 20*time.Millisecond, "on a network without delays")
	})
}

const (
	// quantum is how long work keeps a core while others wait for one.
	quantum = 2 * time.Millisecond
	// packetTakes, byteSent and byteReceived are what a core takes for a datagram, and for
	// each byte of the streams by which agents join: a profile of 300 agents.
	packetTakes  = 50 * time.Microsecond
	byteSent     = 20 * time.Nanosecond
	byteReceived = 100 * time.Nanosecond
)

// cores are the processors of the machine that all agents share; nil: they take no time.
// Who finds all of them busy waits.
type cores chan struct{}

func (c cores) work(d time.Duration) {
	if c == nil {
		return
	}
	for ; d > 0; d -= quantum {
		c <- struct{}{}
		time.Sleep(min(d, quantum))
		<-c
	}
}

func (c cores) share(conn net.Conn) net.Conn {
	if c == nil {
		return conn
	}
	return busyConn{conn, c}
}

// Receive starts delivery. Gossip is handled after it was read.
func (n failing) Receive(packet func([]byte, netip.AddrPort), stream func(net.Conn)) {
	n.Transport.Receive(func(b []byte, from netip.AddrPort) {
		if b[0] == wire.FirstByte {
			n.cores.work(packetTakes)
		} else if n.cores != nil {
			n.cores.work(packetTakes / 5)
			go n.cores.work(packetTakes * 4 / 5)
		}
		packet(b, from)
	}, func(c net.Conn) { stream(n.cores.share(c)) })
}

func (n failing) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := n.Transport.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return n.cores.share(c), nil
}

// busyConn is a stream of which each byte takes time.
type busyConn struct {
	net.Conn
	cores cores
}

func (c busyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.cores.work(time.Duration(n) * byteReceived)
	return n, err
}

func (c busyConn) Write(b []byte) (int, error) {
	c.cores.work(time.Duration(len(b)) * byteSent)
	return c.Conn.Write(b)
}

// eventually is until with fewer looks: each of a crowd takes its time.
func (f *testFlock) eventually(d time.Duration, what string, ok func() bool) {
	f.t.Helper()
	var next time.Time
	f.until(d, what, func() bool {
		if time.Now().Before(next) {
			return false
		}
		next = time.Now().Add(5 * time.Millisecond)
		return ok()
	})
}

// leaseLeft returns how much of its lease a goose has left.
func (f *testFlock) leaseLeft(name string) time.Duration {
	return f.agents[name].main.snapshots.Lease().Until - f.clock()
}

// traffic is what agents have sent, of elections and of gossip.
type traffic struct{ datagrams, bytes float64 }

func (f *testFlock) sent(names ...string) (sum traffic) {
	for _, name := range names {
		c := f.agents[name].Status().Counters
		sum.datagrams += float64(c["datagrams_sent"] + c["gossip_sent"])
		sum.bytes += float64(c["bytes_sent"] + c["gossip_bytes_sent"])
	}
	return sum
}

func (a traffic) since(b traffic) traffic {
	return traffic{a.datagrams - b.datagrams, a.bytes - b.bytes}
}

// memoryOfAll is the memory of this process that something refers to, in MB.
func memoryOfAll() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc+m.StackInuse) / (1 << 20)
}

// cpuOfAll is the CPU time of this process.
func cpuOfAll() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
