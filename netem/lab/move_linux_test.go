package lab

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
)

// TestAddressChangeKeepsTheVote moves a duck to another address, as DHCP would,
// and then kills the goose: without the vote of the one that moved, there
// would be no other.
func TestAddressChangeKeepsTheVote(t *testing.T) {
	t.Parallel()
	l := open(t, 3, inKernel)
	goose := l.settled()
	moved := l.other(goose)
	require.NoError(t, l.member(moved).setAddr(99))
	l.hears(moved)

	require.Error(t, l.member(goose).end(unix.SIGKILL))
	l.watch.until("another goose, by the vote of the one that moved", func(all map[string]api.Status) bool {
		now := gooseOf(all, l.names())
		return now != "" && all[now].Token > l.token && l.allName(all, now, goose)
	})

	require.NoError(t, l.member(goose).start())
	l.settled()
}

// TestAddressChangeOfTheGoose moves the goose while it runs, then back with a restart.
func TestAddressChangeOfTheGoose(t *testing.T) {
	t.Parallel()
	l := open(t, 3, inKernel)
	goose := l.settled()
	require.NoError(t, l.member(goose).setAddr(99))
	l.watch.until("a goose that all hear", func(all map[string]api.Status) bool {
		now := gooseOf(all, l.names())
		return now != "" && l.allName(all, now, "")
	})
	require.Error(t, l.member(goose).end(unix.SIGKILL))
	require.NoError(t, l.member(goose).setAddr(2))
	require.NoError(t, l.member(goose).start())
	l.settled()
}

// other gives an agent besides that one.
func (l *lab) other(than string) string {
	for _, name := range l.names() {
		if name != than {
			return name
		}
	}
	return ""
}

// hears waits until ten more datagrams have reached an agent where it is now.
func (l *lab) hears(at string) {
	l.t.Helper()
	received := func() uint64 {
		s, err := l.member(at).client().Status(l.t.Context())
		require.NoError(l.t, err)
		return s.Counters["datagrams_received"]
	}
	before := received()
	require.Eventually(l.t, func() bool { return received() >= before+10 }, time.Minute, 10*time.Millisecond)
}

// allName tells whether all agents but one name this goose.
func (l *lab) allName(all map[string]api.Status, goose, but string) bool {
	for _, name := range l.names() {
		if s := all[name]; name != but && (s.Goose == nil || s.Goose.Name != goose) {
			return false
		}
	}
	return true
}

// TestAddressChangeIsToldToAll moves a duck: it says where it is now, and all
// see it alive there, with its vote.
func TestAddressChangeIsToldToAll(t *testing.T) {
	t.Parallel()
	l := open(t, 3, inKernel)
	moved := l.other(l.settled())
	require.NoError(t, l.member(moved).setAddr(99))
	now := l.member(moved).addr.String() + ":3825"
	l.watch.until(moved+" says that it is at "+now, func(all map[string]api.Status) bool { return all[moved].Addr == now })
	for _, name := range l.names() {
		require.Eventually(t, func() bool {
			members, err := l.member(name).client().Members(t.Context())
			require.NoError(t, err)
			return slices.ContainsFunc(members, func(m api.Member) bool {
				return m.Name == moved && m.Addr == now && m.State == api.StateAlive && m.Voter
			})
		}, time.Minute, 20*time.Millisecond, "%s sees %s alive at %s", name, moved, now)
	}
	l.settled()
}
