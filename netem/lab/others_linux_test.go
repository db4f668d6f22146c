package lab

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api/apitest"
)

// aptGet is held while packages are installed: apt-get runs once at a time.
var aptGet sync.Mutex

// debian finds a program, or installs Debian's package of that name.
func debian(t *testing.T, program string) {
	t.Helper()
	aptGet.Lock()
	defer aptGet.Unlock()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	out, err := exec.Command("sh", "-c", "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "+program).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: there is no %s here, and apt-get did not install it: %v: %.300s", program, err, out)
	}
}

// island is a network namespace with a device eth1 that leads nowhere.
func island(t *testing.T) (*namespace, *netlink.Handle) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: this needs root to make a network namespace")
	}
	n, err := newNamespace()
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Cleanup(n.close)
	inside, err := netlink.NewHandleAt(n.fd)
	require.NoError(t, err)
	t.Cleanup(inside.Close)
	require.NoError(t, up(inside, "lo", netip.Prefix{}))
	require.NoError(t, inside.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "eth2"}))
	require.NoError(t, up(inside, "eth2", netip.Prefix{}))
	require.NoError(t, up(inside, "eth1", netip.MustParsePrefix("10.88.0.1/24")))
	return n, inside
}

// leaves starts a program that gives the namespace the virtual address, stops and
// kills it, and demands that the kernel would keep the address for ever.
func leaves(t *testing.T, n *namespace, inside *netlink.Handle, cmd *exec.Cmd) {
	t.Helper()
	lifetime := func() int {
		all, err := inside.AddrList(nil, netlink.FAMILY_V4)
		if i := slices.IndexFunc(all, func(a netlink.Addr) bool { return a.IP.Equal(vipAddr.AsSlice()) }); err == nil && i >= 0 {
			return all[i].ValidLft
		}
		return 0
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, n.start(cmd))
	t.Cleanup(func() {
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("it said: %s", text)
		}
	})
	apitest.Eventually(t, func() bool { return lifetime() != 0 }, "it gives itself the address")
	group := -cmd.Process.Pid // a helper that is killed alone is started again, or removes the address
	require.NoError(t, unix.Kill(group, unix.SIGSTOP))
	require.EqualValues(t, math.MaxUint32, uint32(lifetime()), "stopped: it has no lifetime")
	require.NoError(t, unix.Kill(group, unix.SIGKILL))
	require.Error(t, cmd.Wait())
	apitest.Eventually(t, func() bool { return unix.Kill(group, 0) == unix.ESRCH }, "all of it is gone")
	require.EqualValues(t, math.MaxUint32, uint32(lifetime()), "killed: it has no lifetime")
}

func TestKeepalivedThatIsKilledLeavesItsAddress(t *testing.T) {
	extra(t)
	n, inside := island(t)
	debian(t, "keepalived")
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	require.NoError(t, os.WriteFile(conf, []byte(fmt.Sprintf(`vrrp_instance test {
  state MASTER
  interface eth1
  virtual_router_id 51
  priority 200
  advert_int 1
  virtual_ipaddress { %v/32 }
}
`, vipAddr)), 0o600))
	leaves(t, n, inside, exec.Command("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", conf,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp")))
}

// TestVIPManagerThatIsKilledLeavesItsAddress has the test in etcd's place.
func TestVIPManagerThatIsKilledLeavesItsAddress(t *testing.T) {
	extra(t)
	n, inside := island(t)
	debian(t, "vip-manager")
	var listener net.Listener
	require.NoError(t, n.do(func() (err error) {
		listener, err = net.Listen("tcp4", "127.0.0.1:2379")
		return err
	}))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"action": "get", "node": {"key": "/leader", "value": "here", "modifiedIndex": 1, "createdIndex": 1}}`)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	}()
	leaves(t, n, inside, exec.Command("vip-manager", "--ip", vipAddr.String(), "--netmask", "32", "--interface", "eth1",
		"--trigger-key", "/leader", "--trigger-value", "here", "--dcs-type", "etcd", "--dcs-endpoints", "http://127.0.0.1:2379", "--interval", "200"))
}
