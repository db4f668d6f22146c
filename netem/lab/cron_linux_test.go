package lab

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

var cronFor = flag.Duration("cron.for", 3*time.Minute, "how long cron starts the job, once a minute")

// ownCron runs the cron $1, whose only crontab is $0, with a /run of its own for the pid file.
const ownCron = `mount -t tmpfs none /run && mount -t tmpfs none /etc/cron.d && mount -t tmpfs none /var/spool/cron/crontabs &&
mount --bind "$0" /etc/crontab && exec "$1" -f`

// crontab logs each tick, what run prints and its exit code. The job gets the tick.
const crontab = `* * * * * root tick=$(date -u +\%%FT\%%H:\%%M); { ` +
	`echo "begin $tick"; %s run --socket %s --try 0s --keep -- %s "$tick"; echo "exit $?"; } >>%s 2>&1` + "\n"

// crons are the cron daemons of a lab, one a host, with the same job.
type crons struct {
	*lab
	dir string
}

// openCrons founds a flock of three and starts a cron beside each agent.
func openCrons(t *testing.T) *crons {
	extra(t)
	daemon, unshare := apitest.Program(t, "cron", "cron"), apitest.Program(t, "unshare", "util-linux")
	c := &crons{lab: open(t, 3, inKernel, func(m *member) { m.Lease = calm }), dir: t.TempDir()}
	binary, job := build(t, c.dir), filepath.Join(c.dir, "job")
	c.write(c.out(), "", 0o600)
	c.write(job, fmt.Sprintf("#!/bin/sh\necho \"$1 $DDGOOSE_NAME $DDGOOSE_TOKEN\" >>%s\nsleep 3\n", c.out()), 0o700)
	t.Cleanup(func() { // after the daemons have ended
		require.Eventually(t, func() bool {
			for _, m := range c.members {
				if text := read(t, c.log(m)); strings.Count(text, "begin ") != strings.Count(text, "exit ") {
					return false
				}
			}
			return true
		}, time.Minute, 100*time.Millisecond, "all jobs end")
	})
	for _, m := range c.members {
		c.write(c.log(m), "", 0o600)
		table := filepath.Join(c.dir, m.Name+".crontab")
		c.write(table, fmt.Sprintf(crontab, binary, m.Socket, job, c.log(m)), 0o644)
		cmd, said := exec.Command(unshare, "--mount", "sh", "-c", ownCron, table, daemon), new(strings.Builder)
		cmd.Stdout, cmd.Stderr = said, said
		require.NoError(t, m.host.start(cmd))
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // by that signal
			require.Empty(t, said.String(), "cron beside %s", m.Name)
		})
	}
	return c
}

func (c *crons) out() string          { return filepath.Join(c.dir, "out") }
func (c *crons) log(m *member) string { return filepath.Join(c.dir, m.Name+".log") }

func (c *crons) write(path, text string, mode os.FileMode) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(path, []byte(text), mode))
}

// tick waits until all three jobs of the next minute have ended. It gives that
// minute, what the job wrote, and for people how each ended and what it printed.
func (c *crons) tick() (at string, wrote []string, story string) {
	c.t.Helper()
	at = time.Now().UTC().Truncate(time.Minute).Add(time.Minute).Format("2006-01-02T15:04")
	ran := regexp.MustCompile(`(?s)begin ` + at + `\n(.*?)exit (\d+)\n`)
	require.Eventually(c.t, func() bool {
		story = ""
		for _, m := range c.members {
			found := ran.FindStringSubmatch(read(c.t, c.log(m)))
			if found == nil {
				return false
			}
			story += fmt.Sprintf("\n%s: exit %s %q", m.Name, found[2], found[1])
		}
		return true
	}, 2*time.Minute, 100*time.Millisecond, "all jobs of %s end", at)
	for line := range strings.Lines(read(c.t, c.out())) {
		if strings.HasPrefix(line, at+" ") {
			wrote = append(wrote, strings.TrimSpace(line))
		}
	}
	return at, wrote, story
}

// TestCronRunsAJobOnceATick kills the goose between any two ticks. A tick in
// which the goose changed by itself, as on a busy machine, may go without a run.
func TestCronRunsAJobOnceATick(t *testing.T) {
	c := openCrons(t)
	ticks, steady := max(1, int(*cronFor/time.Minute)), 0
	runs := map[int]int{} // in a tick: how often
	for range ticks {
		goose := c.settled()
		token, periods := c.watch.latestOf(goose).Token, len(c.watch.periodsSoFar())
		at, wrote, story := c.tick()
		after := c.watch.latestOf(goose)
		kept := after.Role == api.RoleGoose && after.Token == token && len(c.watch.periodsSoFar()) == periods
		t.Logf("%s: goose %s, token %d, kept: %v; wrote %q%s", at, goose, token, kept, wrote, story)
		runs[len(wrote)]++
		require.LessOrEqual(t, len(wrote), 1)
		if kept {
			steady++
			require.Equal(t, []string{fmt.Sprintf("%s %s %d", at, goose, token)}, wrote)
		} else {
			t.Logf("%s", c.watch)
			for _, m := range c.members {
				t.Logf("log of %s, its end:\n%s", m.Name, last(read(t, m.log), 20))
			}
		}
		require.Error(t, c.member(goose).end(unix.SIGKILL))
		require.NoError(t, c.member(goose).start())
	}
	t.Logf("%d ticks, %d without a change of the goose; ticks by number of runs: %v", ticks, steady, runs)
	require.NotZero(t, steady, "the goose changed by itself in each tick")
}

// last gives the last n lines of a text.
func last(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}
