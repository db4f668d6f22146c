package agent

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/member"
)

// logLines keeps what an agent logs.
type logLines struct {
	sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(b)
}

// about returns the lines that contain all of the words.
func (l *logLines) about(words ...string) (lines []string) {
	l.Lock()
	defer l.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// logged starts n agents that found a flock, and returns what each logs.
func (f *testFlock) logged(n int) map[string]*logLines {
	f.t.Helper()
	logs := map[string]*logLines{}
	for i := range n {
		logs[nth(i)] = &logLines{}
		f.start(nth(i), joining("10.0.0.1"), expecting(n), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(logs[nth(i)], nil)) })
	}
	f.settle(n)
	f.allAlive()
	return logs
}

func TestEveryAgentLogsEachChangeOfGooseOnce(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		logs := f.logged(3)
		first := f.goose()
		founded := 0
		for name, log := range logs {
			require.Len(t, log.about(`msg="new goose"`, "goose="+first, "term=1"), 1, name)
			joined := len(log.about(`msg="joined flock"`, "flock_id="))
			founded += len(log.about(`msg="founded a flock"`, "agents=3"))
			require.LessOrEqual(t, joined, 1)
			for _, other := range f.others(name) {
				require.Len(t, log.about(`msg="agent joined"`, "name="+other), 1, name)
			}
		}
		require.Equal(t, 1, founded)

		require.NoError(t, f.await(func() error { return f.agents[first].StepDown(t.Context(), "") }))
		f.sleep(2 * time.Second)
		second := f.goose()
		require.Len(t, logs[first].about(`msg="no longer goose"`, "term=1", `reason="step-down asked for by this program"`, "goose="+second), 1)
		require.Empty(t, logs[first].about(`msg="new goose"`, "goose="+second), "said already")
		for _, name := range f.others(first) {
			require.Len(t, logs[name].about(`msg="new goose"`, "goose="+second, "previous="+first, "without_goose=", `reason="`+first+` handed over"`), 1, name)
		}

		f.crash(second)
		f.sleep(time.Minute)
		third := f.goose()
		for _, name := range f.others(second) {
			require.Len(t, logs[name].about(`msg="new goose"`, "goose="+third, "previous="+second, `reason="`+second+` was not heard for a lease"`), 1, name)
			require.Len(t, logs[name].about(`msg="agent failed"`, "name="+second), 1, name)
		}
	})
}

func TestAnAgentThatFindsNoGooseLogsWhatItWaitsFor(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		log := &logLines{}
		f.start("a", joining("10.0.0.2"), expecting(2), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
		f.sleep(4 * time.Second)
		require.Empty(t, log.about("no goose yet"), "a founding takes a while")
		f.sleep(time.Minute)
		require.Len(t, log.about("level=WARN", `msg="no goose yet"`, `reason="founding: waiting for 1 more of 2: have a"`), 1)
		f.start("b", joining("10.0.0.1"), expecting(2))
		f.until(time.Minute, "they found a flock", func() bool { return f.agreed("a") })
		require.Len(t, log.about(`msg="new goose"`, "term=1", "without_goose=1m"), 1)
	})
}

func TestALeadThatEndsIsLoggedWithItsReason(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		logs := f.logged(3)
		old := f.goose()
		require.NoError(t, f.agents[old].faults.Set("*: cut", 0))
		f.sleep(4 * time.Second)
		require.Len(t, logs[old].about(`msg="no longer goose"`, "term=1", "reason="), 1)
		f.agents[old].faults.Clear()
		f.until(10*time.Second, "it follows", func() bool { return f.agreed(old) })
		require.Len(t, logs[old].about(`msg="new goose"`, "previous="+old), 1)

		for _, name := range f.others(old) {
			f.crash(name)
		}
		f.sleep(4 * time.Second)
		require.Len(t, append(logs[old].about(`msg="no goose"`), logs[old].about(`msg="no longer goose"`, "term=2")...), 1)
	})
}

func TestAThousandAgentsDoNotFillTheLog(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		log := f.logged(1)["a"]
		require.NoError(t, f.await(func() error {
			return f.agents["a"].onLoop(t.Context(), func(l *life) error {
				var many []member.Peer
				for i := range 1000 {
					p := l.peers()[0]
					p.ID[0], p.ID[1] = byte(i), byte(i>>8)
					many = append(many, p)
				}
				l.logPeers(l.now(), many)
				return nil
			})
		}))
		require.Len(t, log.about(`msg="agent joined"`), peerLinesMost)
		f.sleep(2 * peerLinesWindow)
		require.Len(t, log.about(`msg="more agents came or went"`, "changes=9"), 1)
	})
}

func TestAStopOfTheGooseIsTheReasonThatItLogs(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		logs := f.logged(3)
		goose := f.goose()
		f.stop(goose)
		require.Len(t, logs[goose].about(`msg="no longer goose"`, "term=1", `reason="this agent stops"`), 1)
	})
}
