package lab

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/netem/shape"
)

// lease is that of the profile lan, which the agents run with.
const lease = 500 * time.Millisecond

// calm is a lease that a goose does not lose because the machine is busy.
const calm = 2 * time.Second

// lab is a flock of agents, each on a host of its own.
type lab struct {
	t       *testing.T
	net     *network
	members []*member
	watch   *watch
	faults  faults
	token   uint64 // of the goose that settled found last
}

// faults cut and lose packets, in the kernel or in the agents.
type faults interface {
	// set replaces all faults: what the partition does not let pass is cut, and
	// of the rest a percentage is lost.
	set(p shape.Shape, lossPercent uint32) error
}

// open founds a flock of n, or skips the test where there is no lab. What prepares
// a host is called before its agent starts.
func open(t *testing.T, n int, with func(*lab) faults, prepare ...func(*member)) *lab {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: the kernel lab needs root to make network namespaces")
	}
	w, err := newNetwork(n)
	if err != nil {
		t.Skipf("SKIPPED: this kernel has no lab (network namespaces, veth, nftables with numgen): %v", err)
	}
	l := &lab{t: t, net: w}
	dir, err := os.MkdirTemp("", "lab") // t.TempDir's path may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { l.close(dir) })
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	for i, h := range w.hosts {
		l.members = append(l.members, newMember(dir, i, n, h, key))
	}
	l.watch = newWatch(t, l.members)
	l.faults = with(l)
	for _, m := range l.members {
		for _, f := range prepare {
			f(m)
		}
		require.NoError(t, m.start())
	}
	l.settled()
	return l
}

func (l *lab) close(dir string) {
	for _, m := range l.members {
		if err := m.end(unix.SIGKILL); err != nil && !strings.Contains(err.Error(), "killed") {
			l.t.Errorf("agent %s: %v", m.Name, err)
		}
		if l.t.Failed() {
			text, err := os.ReadFile(m.log)
			l.t.Logf("log of %s (%v):\n%s", m.Name, err, text)
		}
	}
	if l.watch != nil {
		l.watch.close()
	}
	l.net.close()
	require.NoError(l.t, os.RemoveAll(dir))
}

func (l *lab) names() (names []string) {
	for _, m := range l.members {
		names = append(names, m.Name)
	}
	return names
}

// others are all but one.
func (l *lab) others(name string) []string {
	return slices.DeleteFunc(l.names(), func(n string) bool { return n == name })
}

func (l *lab) member(name string) *member { return l.members[name[0]-'a'] }

// settled waits until all agents are voters, see each other, and name one goose.
func (l *lab) settled() (goose string) {
	l.t.Helper()
	l.watch.until("all see each other and name one goose", func(all map[string]api.Status) bool {
		goose = gooseOf(all, l.names())
		for _, m := range l.members {
			s := all[m.Name]
			if s.Goose == nil || s.Goose.Name != goose || s.Token != all[goose].Token || s.Alive != len(l.members) || len(s.Config.Voters) != len(l.members) {
				return false
			}
		}
		l.token = all[goose].Token
		return true
	})
	return goose
}

// set puts a partition and loss in force.
func (l *lab) set(partition string, lossPercent uint32) {
	l.t.Helper()
	var p shape.Shape
	if partition != "" {
		var err error
		p, err = shape.Parse(partition)
		require.NoError(l.t, err)
	}
	require.NoError(l.t, l.faults.set(p, lossPercent))
}

// inKernel has the router drop packets.
func inKernel(l *lab) faults { return &kernelFaults{l} }

type kernelFaults struct{ *lab }

func (k *kernelFaults) set(p shape.Shape, lossPercent uint32) error {
	var cut []link
	for _, m := range k.members {
		out, _ := p.Cuts(m.Name, k.names())
		for _, to := range out {
			cut = append(cut, link{m.addr, k.member(to).addr})
		}
	}
	return k.net.filter.set(cut, lossPercent)
}

// inAgents has the emulator in each agent drop them.
func inAgents(l *lab) faults { return &agentFaults{l} }

type agentFaults struct{ *lab }

func (a *agentFaults) set(p shape.Shape, lossPercent uint32) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range a.members {
		out, in := p.Cuts(m.Name, a.names())
		var rules []string
		for dir, peers := range map[string][]string{"out": out, "in": in} {
			if len(peers) > 0 {
				rules = append(rules, fmt.Sprintf("%s %s: cut", dir, strings.Join(a.addrs(peers), ",")))
			}
		}
		if lossPercent > 0 { // on one side only: each datagram passes two emulators
			rules = append(rules, fmt.Sprintf("out *: loss %d%%", lossPercent))
		}
		if err := m.setRules(ctx, strings.Join(rules, "; ")); err != nil {
			return fmt.Errorf("agent %s: %w", m.Name, err)
		}
	}
	return nil
}

func (m *member) setRules(ctx context.Context, rules string) error {
	if rules == "" {
		return m.client().ClearNetem(ctx)
	}
	_, err := m.client().SetNetem(ctx, rules, 0)
	return err
}

func (a *agentFaults) addrs(names []string) (addrs []string) {
	for _, name := range names {
		addrs = append(addrs, a.member(name).addr.String()) // of any port
	}
	return addrs
}

// traffic sums up the election's datagrams over all agents.
func (l *lab) traffic() (sent, received uint64) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range l.members {
		s, err := m.client().Status(ctx)
		require.NoError(l.t, err)
		sent += s.Counters["datagrams_sent"]
		received += s.Counters["datagrams_received"]
	}
	return sent, received
}
