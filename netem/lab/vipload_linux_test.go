package lab

import (
	"flag"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	vipChanges = flag.Int("vip.changes", 14, "how many changes of goose TestNoTwoHostsHaveTheAddressAtOnce forces")
	vipFor     = flag.Duration("vip.for", 0, "force no more changes after this long; 0: all")
	vipLoad    = flag.Int("vip.load", 4, "how many processes do nothing but use a processor meanwhile")
	vipLease   = flag.Duration("vip.lease", time.Second, "the length of a lease")
)

// TestNoTwoHostsHaveTheAddressAtOnce changes the goose on a busy machine in every way that
// leaves vip or its guard alive.
func TestNoTwoHostsHaveTheAddressAtOnce(t *testing.T) {
	extra(t)
	b := openBridge(t, func(m *member) { m.Lease = *vipLease })
	for range *vipLoad {
		burner := exec.Command("sh", "-c", "while :; do :; done")
		require.NoError(t, b.client.start(burner))
		t.Cleanup(func() {
			_ = burner.Process.Kill()
			_ = burner.Wait() // killed
		})
	}
	faults := []struct {
		who string
		sig unix.Signal // 0: a step-down
	}{
		{"agent", 0}, {"agent", unix.SIGTERM}, {"agent", unix.SIGKILL}, {"agent", unix.SIGSTOP},
		{"vip", unix.SIGKILL}, {"vip", unix.SIGSTOP}, {"guard", unix.SIGSTOP},
	}
	changes := 0
	for end := time.Now().Add(*vipFor); changes < *vipChanges && (*vipFor == 0 || time.Now().Before(end)); changes++ {
		b.settled()
		if f := faults[changes%len(faults)]; f.sig != 0 {
			b.heal(b.hit(f.who, f.sig), f.who, f.sig)
			continue
		}
		b.handOver()
	}
	b.judge(fmt.Sprintf("%d changes at load %d", changes, *vipLoad), 0)
	b.spare()
}

// handOver asks the goose to step down until another host has the address.
func (b *bridge) handOver() {
	b.t.Helper()
	b.mu.Lock()
	lost := b.lost
	b.mu.Unlock()
	require.Eventually(b.t, func() bool {
		_, err := b.guest(b.reached(0)).client().StepDown(b.t.Context(), "")
		return err == nil
	}, time.Minute, 10*time.Millisecond, "step-down")
	b.reached(lost + 1)
}

// spare demands that the address was gone before the lease's end, each time, as vip says. It
// logs how much of the lease was left: removed by the guard, or by vip because its guard did not.
func (b *bridge) spare() {
	b.t.Helper()
	spare := map[string][]time.Duration{}
	for _, g := range b.guests {
		for _, found := range regexp.MustCompile(`(?m)^(?:.*(token \d+: stopped))?.*all was gone with (\S+) of the lease left`).FindAllStringSubmatch(read(b.t, g.log.Name()), -1) {
			left, err := time.ParseDuration(found[2])
			require.NoError(b.t, err)
			by := "its guard"
			if found[1] == "" {
				by = "vip"
			}
			spare[by] = append(spare[by], left)
		}
	}
	require.NotEmpty(b.t, spare)
	for by, all := range spare {
		slices.Sort(all)
		b.t.Logf("of the lease were left at %d ends by %s: least %v, 10 %% %v, median %v, most %v", len(all), by,
			all[0], all[len(all)/10], all[len(all)/2], all[len(all)-1])
		require.GreaterOrEqual(b.t, all[0], time.Duration(0), "removed only after the lease's end")
	}
}
