package lab

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

func extra(t *testing.T) {
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: this takes minutes; set DDGOOSE_TEST_EXTRA to run it")
	}
	t.Parallel()
}

// bothWays runs a test with faults of the kernel and with faults of the agents, at the same time.
func bothWays(t *testing.T, agents int, test func(*testing.T, *lab)) {
	for name, with := range map[string]func(*lab) faults{"in the kernel": inKernel, "in the agents": inAgents} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, agents, with))
		})
	}
}

// TestRejoinAfterLongCut cuts two agents off for longer than memberlist
// remembers the dead (30 s): nobody would ever call them again by itself.
func TestRejoinAfterLongCut(t *testing.T) {
	extra(t)
	bothWays(t, 5, func(t *testing.T, l *lab) {
		goose := l.settled()
		l.set(goose+"/"+strings.Join(l.others(goose), ","), 0)
		l.watch.silent([]string{goose}, boottime.Now()+lease, 40*time.Second)
		l.set("", 0)
		l.settled()
	})
}

// TestRejoinAfterRestartInACut has the cut agent start again while it is cut:
// it knows the others by its disk and its --join only.
func TestRejoinAfterRestartInACut(t *testing.T) {
	extra(t)
	bothWays(t, 5, func(t *testing.T, l *lab) {
		goose := l.settled()
		l.set(goose+"/"+strings.Join(l.others(goose), ","), 0)
		require.Error(t, l.member(goose).end(unix.SIGKILL))
		require.NoError(t, l.member(goose).start())
		l.watch.until("the others have a goose", func(all map[string]api.Status) bool { return gooseOf(all, l.names()) != "" })
		l.set("", 0)
		l.settled()
	})
}

// TestLossForAMinute demands a goose nearly always. Over ten minutes it is 99 %
// with 30 % loss and 95 % with 50 %; a minute varies more.
func TestLossForAMinute(t *testing.T) {
	for percent, least := range map[uint32]float64{30: 0.96, 50: 0.88} {
		t.Run(strconv.Itoa(int(percent)), func(t *testing.T) {
			extra(t)
			bothWays(t, 5, func(t *testing.T, l *lab) {
				l.set("", percent)
				share := l.sample(time.Minute)
				l.set("", 0)
				t.Logf("a goose in %.2f %% of the time, %d periods", 100*share, len(l.watch.periodsSoFar()))
				require.GreaterOrEqual(t, share, least)
			})
		})
	}
}
