package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/store/memfs"
)

func telling(addr string) func(*Config) { return func(c *Config) { c.Advertise = addr } }

// TestAnAddressThatTwoAgentsTellIsNamedAtBoth makes two machines announce an address
// that both have, such as that of a container bridge.
func TestAnAddressThatTwoAgentsTellIsNamedAtBoth(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.2"), expecting(2), telling("172.17.0.1"))
		f.start("b", joining("10.0.0.1"), expecting(2), telling("172.17.0.1"))
		for _, name := range []string{"a", "b"} {
			f.warns(10*time.Second, name, "a, b all tell others the address 172.17.0.1:3825")
		}
		f.sleep(time.Minute)
		for _, name := range []string{"a", "b"} {
			require.Contains(t, strings.Join(f.agents[name].Status().Warnings, "\n"), "a, b all tell others", "%s still does, though each fails for the other now and then", name)
		}
	})
}

func TestALoopbackAddressIsNamedAtBoth(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.2"), expecting(2))
		f.start("b", joining("10.0.0.1"), expecting(2), telling("127.0.0.1"))
		for _, name := range []string{"a", "b"} {
			f.warns(10*time.Second, name, "b tells others the loopback address 127.0.0.1:3825")
		}
	})
}

// TestALostDiskIsNoAddressThatTwoTell starts an agent again without its disk: for a
// while gossip counts its former self as alive, at the same address.
func TestALostDiskIsNoAddressThatTwoTell(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		lost := f.ducks()[0]
		f.crash(lost)
		f.agents[lost].disk = memfs.New(99)
		f.start(lost, joining(f.agents[f.goose()].addr.String()))
		f.until(20*time.Second, "it follows the goose", func() bool { return f.agreed(lost) })
		f.sleep(time.Minute)
		for _, name := range []string{"a", "b", "c"} {
			require.NotContains(t, strings.Join(f.agents[name].Status().Warnings, "\n"), "all tell others", name)
		}
	})
}
