package seeds

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func TestParseTakesAddressesAndNames(t *testing.T) {
	for word, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:3825", "10.0.0.1:7": "10.0.0.1:7", "[::1]:7": "[::1]:7", "::1": "[::1]:3825", "[fd00::1]": "[fd00::1]:3825",
		"169.254.0.1": "169.254.0.1:3825", "::ffff:10.0.0.1": "10.0.0.1:3825",
	} {
		s, err := Parse(word)
		require.NoError(t, err, word)
		got, ok := s.Addr()
		require.True(t, ok, word)
		require.Equal(t, netip.MustParseAddrPort(want), got, word)
	}
	for word, want := range map[string]Seed{
		"b.example.com":          {kind: name, host: "b.example.com", port: 3825},
		"b:7":                    {kind: name, host: "b", port: 7},
		"srv+_goose._udp.a.test": {kind: records, host: "_goose._udp.a.test"},
		"exec: list a,b | sort":  {kind: command, host: "list a,b | sort"},
	} {
		got, err := Parse(word)
		require.NoError(t, err, word)
		want.word = word
		require.Equal(t, want, got)
	}
}

func TestParseTellsWhatWouldBeRight(t *testing.T) {
	for word, want := range map[string]string{
		"":                 "want HOST or HOST:PORT",
		":3825":            "want HOST or HOST:PORT",
		"10.0.0.1:x":       `port "x": want 1 to 65535`,
		"10.0.0.1:0":       `port "0": want 1 to 65535`,
		"fe80::1%eth0":     "link-local",
		"[fe80::1]:3825":   "link-local",
		"[fd00::1%eth0]:7": "zones",
		"0.0.0.0":          "want the address of one",
		"[::]:3825":        "want the address of one",
		"224.0.0.1":        "multicast",
		"srv+":             "want the name of SRV records",
		"srv+a:3825":       "without a port",
		"exec: ":           "want a command",
	} {
		_, err := Parse(word)
		require.ErrorContains(t, err, want, word)
	}
}

func TestSplitLeavesOutWhatIsEmptyAndKeepsCommandsWhole(t *testing.T) {
	require.Equal(t, []string{"a", "b:1"}, Split(" a,,b:1 ,"))
	require.Equal(t, []string{"a", "exec:list --of x,y"}, Split("a, exec:list --of x,y"))
	for _, empty := range []string{"", " ", ",", " , ,"} {
		require.Empty(t, Split(empty))
	}
}

// nameServer answers from a zone; names in silent get no answer.
func nameServer(t *testing.T, silent map[string]bool, zone ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if silent[q.Question[0].Name] {
			return
		}
		m := new(dns.Msg).SetReply(q)
		for _, line := range zone {
			rr, err := dns.NewRR(line)
			if err == nil && rr.Header().Name == q.Question[0].Name && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// newTestList makes a list whose lookups end with the test.
func newTestList(t *testing.T, r *net.Resolver) (b *List, found chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	var looks sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		looks.Wait()
	})
	found = make(chan struct{}, 64)
	return NewList(r, func(f func(context.Context)) bool {
		looks.Go(func() { f(ctx) })
		return true
	}, func() { found <- struct{}{} }), found
}

func addrs(words ...string) (all []netip.AddrPort) {
	for _, w := range words {
		all = append(all, netip.MustParseAddrPort(w))
	}
	return all
}

func TestTheOthersAreSeedsThatDoNotLeadToOneAddressAlone(t *testing.T) {
	b, found := newTestList(t, nameServer(t, nil, "me. A 10.0.0.1", "all. A 10.0.0.1", "all. A 10.0.0.2"))
	b.Set([]string{"10.0.0.1", "10.0.0.1:99", "me", "all"})
	require.Equal(t, []string{"10.0.0.1:99", "me", "all"}, b.Others(addrs("10.0.0.1:3825")[0]), "where a name leads is not known yet")
	b.Look()
	<-found
	<-found
	require.Equal(t, []string{"10.0.0.1:99", "all"}, b.Others(addrs("10.0.0.1:3825")[0]))
}

func TestASilentNameServerDelaysNothingElse(t *testing.T) {
	silent := map[string]bool{}
	words := []string{"10.0.0.1"}
	for i := range looksAtOnce - 1 {
		name := fmt.Sprintf("silent-%d.test", i)
		silent[name+"."] = true
		words = append(words, name)
	}
	b, found := newTestList(t, nameServer(t, silent, "live.test. A 10.0.0.2"))
	b.Set(append(words, "live.test:7"))
	require.Equal(t, addrs("10.0.0.1:3825"), b.Addrs(), "an address needs no lookup")
	began := time.Now()
	b.Look()
	<-found
	require.Less(t, time.Since(began), lookupWait, "it waited for the silent ones")
	require.Equal(t, addrs("10.0.0.1:3825", "10.0.0.2:7"), b.Addrs())
	require.Empty(t, b.Faults(), "the silent ones have time left")
}

func TestALookupThatFailsLeavesTheLastGoodAddresses(t *testing.T) {
	gone := map[string]bool{}
	var mu sync.Mutex
	conn := nameServer(t, nil, "a.test. A 10.0.0.1")
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if gone["all"] {
			return nil, fmt.Errorf("no name server")
		}
		return conn.Dial(ctx, network, address)
	}}
	b, found := newTestList(t, r)
	b.Set([]string{"a.test"})
	b.Look()
	<-found
	mu.Lock()
	gone["all"] = true
	mu.Unlock()
	b.Look()
	require.Eventually(t, func() bool { return len(b.Faults()) == 1 }, time.Minute, time.Millisecond)
	require.Contains(t, b.Faults()[0], "a.test: ")
	require.Equal(t, addrs("10.0.0.1:3825"), b.Addrs())

	b.Set([]string{"10.0.0.9", "a.test"})
	require.Equal(t, addrs("10.0.0.9:3825", "10.0.0.1:3825"), b.Addrs(), "a seed that stays keeps what is known")
	b.Set([]string{"10.0.0.9"})
	require.Equal(t, addrs("10.0.0.9:3825"), b.Addrs())
	require.Empty(t, b.Faults())
}

func TestRecordsNameHostsAndPorts(t *testing.T) {
	r := nameServer(t, nil,
		"_goose._udp.test. SRV 1 1 7001 a.test.", "_goose._udp.test. SRV 1 1 7002 b.test.", "_goose._udp.test. SRV 1 1 7003 none.test.",
		"a.test. A 10.0.0.1", "b.test. A 10.0.0.2", "b.test. AAAA fd00::2", "b.test. AAAA fe80::2")
	s, err := Parse("srv+_goose._udp.test")
	require.NoError(t, err)
	got, err := s.Lookup(t.Context(), r)
	require.Equal(t, addrs("10.0.0.1:7001", "10.0.0.2:7002", "[fd00::2]:7002"), got)
	require.ErrorContains(t, err, "none.test", "the one without an address is told")

	s, err = Parse("srv+_none._udp.test")
	require.NoError(t, err)
	_, err = s.Lookup(t.Context(), r)
	require.ErrorContains(t, err, "srv+_none._udp.test: ")
}

func lookupCommand(t *testing.T, line string) ([]netip.AddrPort, error) {
	t.Helper()
	s, err := Parse("exec:" + line)
	require.NoError(t, err)
	return s.Lookup(t.Context(), nil)
}

func TestACommandPrintsAddresses(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	t.Setenv("WATCHDOG_USEC", "1")
	got, err := lookupCommand(t, `echo 10.0.0.2; echo '10.0.0.1:7  [fd00::1]:8'; echo ${NOTIFY_SOCKET:-10.0.0.3} ${WATCHDOG_USEC:-10.0.0.4}`)
	require.NoError(t, err)
	require.Equal(t, addrs("10.0.0.1:7", "10.0.0.2:3825", "10.0.0.3:3825", "10.0.0.4:3825", "[fd00::1]:8"), got)
}

func TestACommandsFaultsAreTold(t *testing.T) {
	for line, want := range map[string]string{
		"echo 10.0.0.1; echo no such role >&2; exit 3": "exit status 3: no such role",
		"true":                     "it printed no address",
		"echo exec:true":           `it printed "exec:true": want HOST or HOST:PORT`,
		"echo 10.0.0.1:x":          `port "x": want 1 to 65535`,
		"while :; do echo x; done": "it printed more than 64 KiB, and was killed",
	} {
		got, err := lookupCommand(t, line)
		require.ErrorContains(t, err, want, line)
		require.Empty(t, got, line)
	}
	got, err := lookupCommand(t, "echo 10.0.0.1 fe80::1")
	require.Equal(t, addrs("10.0.0.1:3825"), got, "what is right counts all the same")
	require.ErrorContains(t, err, "link-local")
}

// TestACommandEndsWithItsLookup has the whole process group end, and none of it left.
func TestACommandEndsWithItsLookup(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	require.NoError(t, syscall.Mkfifo(pid, 0o600))
	s, err := Parse("exec:sh -c 'echo $$ >" + pid + "; exec sleep 1000' & wait")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Lookup(ctx, nil)
		ended <- err
	}()
	child, err := os.ReadFile(pid)
	require.NoError(t, err)
	cancel()
	require.Error(t, <-ended)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, time.Minute, time.Millisecond, "its child goes on")
}
