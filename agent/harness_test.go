package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"
	"duckduckgoose/netem/memory"
	"duckduckgoose/netem/transport"
)

// testFlock is a flock of whole agents, memberlist included, over a network in memory.
// It lives in a synctest bubble, so its time is virtual. Tests wait by sleep and until,
// which check the promises every millisecond, as readers see them.
type testFlock struct {
	t      *testing.T
	net    *memory.Network
	epoch  time.Time
	agents map[string]*testAgent
	order  []string
	keys   [][]byte // of the agents started from now on
	cores  cores    // which they share; nil: the machine is never busy

	geese  map[string]map[uint64]string // by flock and token: who was the goose (P1)
	latest map[string]uint64            // by flock: the highest token seen (P3)
	claims []claim
	judged map[string]claim // by election: the last one that was judged
}

// claim is a valid lease.
type claim struct {
	name  string
	at    *local
	token uint64
}

type testAgent struct {
	*Agent // nil while it does not run
	name   string
	addr   netip.AddrPort
	disk   *memfs.FS
	faults *transport.Transport
	cancel context.CancelFunc
	ended  chan error
	power  powerCut
}

// powerCut is a power cut that strikes while an agent sends.
type powerCut struct {
	armed atomic.Int64 // datagrams until it strikes; 0: not armed
	off   atomic.Bool  // nothing leaves any more
}

// failing is the network of a machine whose power may be cut.
type failing struct {
	Transport
	a     *testAgent
	cores cores
}

func (n failing) WriteTo(b []byte, to netip.AddrPort) error {
	p := &n.a.power
	if p.off.Load() {
		return nil
	}
	if p.armed.Load() > 0 && p.armed.Add(-1) == 0 {
		p.off.Store(true)
		n.a.disk.PowerCut()
	}
	return n.Transport.WriteTo(b, to)
}

// state returns an agent's status without its counters, which are slow to gather. It is
// used every millisecond.
func (a *testAgent) state() Status { return a.main.snapshots.Uncounted() }

// inFlock runs a test of a flock in virtual time.
func inFlock(t *testing.T, test func(t *testing.T, f *testFlock)) {
	synctest.Test(t, func(t *testing.T) {
		f := &testFlock{
			t: t, net: memory.New(), epoch: time.Now(), agents: map[string]*testAgent{},
			geese: map[string]map[uint64]string{}, latest: map[string]uint64{}, judged: map[string]claim{},
		}
		defer f.close()
		test(t, f)
	})
}

func (f *testFlock) clock() time.Duration { return time.Since(f.epoch) + time.Hour }

// agent returns an agent by name, made at the first call.
func (f *testFlock) agent(name string) *testAgent {
	a := f.agents[name]
	if a == nil {
		a = &testAgent{name: name, addr: f.addr(10, len(f.order)+1), disk: memfs.New(uint64(len(f.order)) + 1)}
		if f.cores != nil { // they share the machine, too
			a.addr = netip.AddrPortFrom(f.addr(10, 1).Addr(), a.addr.Port()+uint16(len(f.order)))
		}
		f.agents[name] = a
		f.order = append(f.order, name)
	}
	return a
}

func (f *testFlock) addr(net, host int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(net), 0, byte(host >> 8), byte(host)}), 3825)
}

// config returns the default settings of an agent.
func (f *testFlock) config(a *testAgent) Config {
	cfg := Config{
		Name: a.name, Bind: a.addr.String(), Insecure: true, DataDir: "/data", Socket: NoSocket, FS: a.disk, Flock: "test", Keys: f.keys,
		Clock: f.clock, MonotonicClock: f.clock,
		Listen: func(string) (Transport, Faults, error) {
			e, err := f.net.Listen(a.addr)
			if err != nil {
				return nil, nil, err
			}
			a.faults = transport.Wrap(failing{e, a, f.cores}, uint64(a.addr.Addr().As4()[3]))
			return a.faults, a.faults, nil
		},
	}
	if os.Getenv("DDGOOSE_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", a.name)
	}
	return cfg
}

// start runs an agent. Its disk survives its restarts.
func (f *testFlock) start(name string, changes ...func(*Config)) *testAgent {
	f.t.Helper()
	a := f.agent(name)
	cfg := f.config(a)
	for _, change := range changes {
		change(&cfg)
	}
	agent, err := New(cfg)
	require.NoError(f.t, err)
	a.Agent = agent
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.ended = cancel, make(chan error, 1)
	go func() { a.ended <- agent.Run(ctx) }()
	return a
}

func joining(addrs ...string) func(*Config) { return func(c *Config) { c.Join = addrs } }
func expecting(n int) func(*Config)         { return func(c *Config) { c.Expect = n } }
func withPriority(p uint8) func(*Config)    { return func(c *Config) { c.Priority = &p } }
func asObserver(c *Config)                  { c.Observer = true }

// found starts n agents, a, b, c, ..., that found a flock together.
func (f *testFlock) found(n int) {
	f.t.Helper()
	for i := range n {
		f.start(nth(i), joining("10.0.0.1"), expecting(n))
	}
	f.settle(n)
}

func nth(i int) string { return string(rune('a' + i)) }

// stop ends an agent gracefully.
func (f *testFlock) stop(name string) {
	f.t.Helper()
	f.agents[name].cancel()
	require.NoError(f.t, f.wait(name))
}

// wait waits for an agent's end.
func (f *testFlock) wait(name string) error {
	f.t.Helper()
	a := f.agents[name]
	var err error
	f.until(30*time.Second, name+" ends", func() bool {
		select {
		case err = <-a.ended:
			return true
		default:
			return false
		}
	})
	a.Agent = nil
	return err
}

// crash ends an agent at once, as kill -9 does.
func (f *testFlock) crash(name string) {
	f.t.Helper()
	require.NoError(f.t, f.agents[name].Die(0))
	f.agents[name].cancel()
	require.NoError(f.t, f.wait(name))
}

// cutPower cuts the power of a machine at its next disk operations, or as its
// agent sends: what was not synced is lost, and nothing leaves any more.
func (f *testFlock) cutPower(name string, ops, sends int) {
	f.t.Helper()
	a := f.agents[name]
	if ops > 0 {
		a.disk.CutAt(a.disk.Ops() + ops)
	}
	a.power.armed.Store(int64(sends))
	f.sleep(time.Second) // an agent sends several times a second, and saves when something happens
	a.power.off.Store(true)
	a.disk.PowerCut()
	a.Abort()
	_ = f.wait(name) // its disk may have failed first
	a.power.armed.Store(0)
	a.power.off.Store(false)
	a.disk.CutAt(0)
	a.disk.PowerOn()
}

func (f *testFlock) close() {
	for _, name := range f.order {
		if a := f.agents[name]; a.Agent != nil {
			a.cancel()
		}
	}
	for _, name := range f.order {
		if a := f.agents[name]; a.Agent != nil {
			if err := <-a.ended; err != nil && !f.t.Failed() {
				f.t.Errorf("agent %s: %v", name, err)
			}
		}
	}
	time.Sleep(time.Minute) // memberlist's probes outlive its Shutdown until they time out
}

// sleep lets time pass and checks the promises.
func (f *testFlock) sleep(d time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		f.judge()
	}
}

// long returns a time to watch a flock for: less under the race detector, which
// makes it ten times slower.
func long(d time.Duration) time.Duration {
	if raced {
		return d / 10
	}
	return d
}

// until waits for a condition in virtual time.
func (f *testFlock) until(d time.Duration, what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(d); !ok(); {
		if time.Now().After(end) {
			require.FailNow(f.t, "not in time", "%s within %v\n%s", what, d, f)
		}
		time.Sleep(time.Millisecond)
		f.judge()
	}
}

// await runs a command that waits, and checks the promises meanwhile.
func (f *testFlock) await(command func() error) error {
	f.t.Helper()
	done := make(chan error, 1)
	go func() { done <- command() }()
	var err error
	f.until(time.Minute, "the command returns", func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	return err
}

// judge checks P1 to P3 as readers see them: in each election of each flock at most one
// agent answers goose, each token belongs to one agent, and no goose has an older token
// than a goose before it.
func (f *testFlock) judge() {
	now := f.clock()
	f.claims = f.claims[:0]
	for _, name := range f.order {
		a := f.agents[name]
		if a.Agent == nil {
			continue
		}
		for _, at := range append(a.otherLocals(), a.main) {
			if lease := at.snapshots.Lease(); lease.Token != 0 && lease.Until > now {
				f.claims = append(f.claims, claim{name, at, lease.Token})
			}
		}
	}
	seen := map[string]string{}
	for _, c := range f.claims {
		rivals := 0
		for _, other := range f.claims {
			if other.at.name == c.at.name {
				rivals++
			}
		}
		if rivals > 1 || f.judged[c.at.name] != c { // else nothing is new, and a status is dear
			f.judgeClaim(c, seen)
		}
	}
}

func (f *testFlock) judgeClaim(c claim, seen map[string]string) {
	name, s := c.name, c.at.snapshots.Uncounted()
	if s.Role != api.RoleGoose {
		return
	}
	of := s.FlockID + "/" + c.at.name
	if other := seen[of]; other != "" {
		require.FailNow(f.t, "P2", "two geese of one election at one moment, %s and %s in %s:\n%s", other, name, of, f)
	}
	seen[of] = name
	if f.geese[of] == nil {
		f.geese[of] = map[uint64]string{}
	}
	if other := f.geese[of][s.Token]; other != "" && other != name {
		require.FailNow(f.t, "P1", "%s and %s were goose with token %d in %s:\n%s", other, name, s.Token, of, f)
	}
	f.geese[of][s.Token] = name
	if latest := f.latest[of]; s.Token < latest {
		require.FailNow(f.t, "P3", "%s has token %d after %d in %s:\n%s", name, s.Token, latest, of, f)
	}
	f.latest[of] = s.Token
	f.judged[c.at.name] = c
}

// goose returns the agent that answers goose, "" for none.
func (f *testFlock) goose() string {
	for _, name := range f.live() {
		if f.agents[name].state().Role == api.RoleGoose {
			return name
		}
	}
	return ""
}

// ducks returns the live agents but the goose.
func (f *testFlock) ducks() (names []string) {
	goose := f.goose()
	for _, name := range f.live() {
		if name != goose {
			names = append(names, name)
		}
	}
	return names
}

// agreed reports whether the given agents name one goose, the same one.
func (f *testFlock) agreed(names ...string) bool {
	var token uint64
	for _, name := range names {
		s := f.agents[name].state()
		if s.Goose == nil || token != 0 && s.Token != token {
			return false
		}
		token = s.Token
	}
	return true
}

func (f *testFlock) live() (names []string) {
	for _, name := range f.order {
		if f.agents[name].Agent != nil {
			names = append(names, name)
		}
	}
	return names
}

// agree waits until all live agents name one goose. Of two voters it soon keeps one.
func (f *testFlock) agree() {
	f.t.Helper()
	f.until(time.Minute, "one goose", func() bool { return f.agreed(f.live()...) })
}

// settle waits until all live agents name one goose, and this number of voters.
func (f *testFlock) settle(voters int) {
	f.t.Helper()
	f.until(time.Minute, fmt.Sprintf("one goose and %d voters", voters), func() bool {
		for _, name := range f.live() {
			if len(f.agents[name].state().Config.Voters) != voters {
				return false
			}
		}
		return f.agreed(f.live()...) && f.goose() != ""
	})
}

// allAlive waits until every live agent counts all live agents.
func (f *testFlock) allAlive() {
	f.t.Helper()
	f.until(time.Minute, "all see all", func() bool {
		for _, name := range f.live() {
			if f.gossiped(name) != len(f.live()) || f.agents[name].state().Alive != len(f.live()) {
				return false
			}
		}
		return true
	})
}

// gossiped returns how many agents gossip counts as alive at an agent, including those
// that do not answer.
func (f *testFlock) gossiped(at string) (n int) {
	for _, m := range f.agents[at].Members() {
		if m.State == api.StateAlive || m.State == api.StateSuspect {
			n++
		}
	}
	return n
}

// warns waits until an agent's status has a warning with these words.
func (f *testFlock) warns(d time.Duration, name, words string) {
	f.t.Helper()
	f.until(d, fmt.Sprintf("%s warns %q", name, words), func() bool {
		return strings.Contains(strings.Join(f.agents[name].state().Warnings, "\n"), words)
	})
}

// voter reports whether an agent shows itself as a voter.
func (f *testFlock) voter(name string) bool { return f.agents[name].state().Voter }

// cut cuts all links between the two groups; heal ends that.
func (f *testFlock) cut(some, others []string) {
	for _, pair := range [][2][]string{{some, others}, {others, some}} {
		var rules []string
		for _, other := range pair[1] {
			rules = append(rules, f.agents[other].addr.String()+": cut")
		}
		for _, name := range pair[0] {
			require.NoError(f.t, f.agents[name].faults.Set(strings.Join(rules, "; "), 0))
		}
	}
}

func (f *testFlock) heal() {
	for _, name := range f.live() {
		f.agents[name].faults.Clear()
	}
}

// copyDisk returns a copy of an agent's data directory.
func (f *testFlock) copyDisk(from *memfs.FS) *memfs.FS {
	to := memfs.New(77)
	require.NoError(f.t, to.MkdirAll("/data", 0o700))
	src, err := from.OpenFile("/data/"+store.StateFile, os.O_RDONLY, 0)
	require.NoError(f.t, err)
	text, err := io.ReadAll(io.NewSectionReader(src, 0, 1<<20))
	require.NoError(f.t, errors.Join(err, src.Close()))
	dst, err := to.OpenFile("/data/"+store.StateFile, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	require.NoError(f.t, err)
	_, err = dst.WriteAt(text, 0)
	require.NoError(f.t, errors.Join(err, dst.Sync(), dst.Close(), to.SyncDir("/data")))
	return to
}

func (f *testFlock) String() string {
	var b strings.Builder
	for _, name := range f.live() {
		s := f.agents[name].state()
		goose := "-"
		if s.Goose != nil {
			goose = s.Goose.Name
		}
		fmt.Fprintf(&b, "%s %-9s goose %s term %d config %d.%d of %d alive %d %v\n", name, s.Role, goose, s.Term, s.Config.Term, s.Config.Version, len(s.Config.Voters), s.Alive, s.Warnings)
	}
	for _, name := range f.live() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, _ = ask(ctx, f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
			for _, p := range l.peers() {
				fmt.Fprintf(&b, "%s sees %s %s %v flock %s addr %v\n", name, p.Meta.Name, p.State, p.ID, p.Meta.FlockID, p.Addr)
			}
			if n := l.node(); n != nil {
				fmt.Fprintf(&b, "%s lease %+v promise %+v\n", name, n.Lease(), n.Promise())
				for _, c := range n.Contacts(nil) {
					fmt.Fprintf(&b, "%s contact %+v\n", name, c)
				}
			}
			answer(struct{}{}, nil)
			return nil
		})
		cancel()
	}
	return b.String()
}

// record returns an agent's record as its node has it.
func (f *testFlock) record(name string) (rec election.Record) {
	_, err := ask(context.Background(), f.agents[name].Agent, func(l *life, answer func(struct{}, error)) error {
		if l.node() != nil {
			rec = l.node().Record()
		}
		answer(struct{}{}, nil)
		return nil
	})
	require.NoError(f.t, err)
	return rec
}
