package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// noteTo is a hook that notes what it was told, a line each.
func noteTo(file string) string {
	return "echo $DDGOOSE_EVENT ${DDGOOSE_MEMBER_NAME:-$DDGOOSE_TOKEN} $DDGOOSE_MEMBER_STATE >> " + file
}

// holds waits until a file that hooks write to has a line that begins so.
func holds(t *testing.T, file, begin string) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		text, _ := os.ReadFile(file) // not there yet
		return strings.Contains("\n"+string(text), "\n"+begin)
	}, "%s has %q", file, begin)
}

func TestProcessHooksFollowAnAgentToItsEnd(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	out := filepath.Join(dir, "out")
	a := startAgent(t, dir, "a", "--on", "goose="+noteTo(out), "--on", "duck="+noteTo(out), "--on", "member="+noteTo(out),
		"--on", "goose=test $DDGOOSE_SOCKET = "+filepath.Join(dir, "a.sock")+" && echo told where >> "+out+"; echo no such address >&2; exit 3")
	a.until("goose", isGoose)
	holds(t, out, "goose ")
	holds(t, out, "told where")
	apitest.Eventually(t, func() bool { return strings.Contains(a.log.String(), `stderr="no such address" error="exit status 3"`) }, "the failure is logged: %s", a.log)
	apitest.Eventually(t, func() bool { return a.status().Counters["hooks_failed"] >= 1 }, "and counted")
	b := startAgent(t, dir, "b", "--join", a.addr())
	holds(t, out, "member b alive")
	b.signal(syscall.SIGKILL)
	b.exit()
	holds(t, out, "member b failed")
	a.until("goose", isGoose)
	a.signal(syscall.SIGTERM)
	require.Zero(t, a.exit(), a.log)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	last := ""
	for _, line := range lines(string(text)) {
		if strings.HasPrefix(line, "goose") || strings.HasPrefix(line, "duck") {
			last = line
		}
	}
	require.Contains(t, last, "duck ", "the last word: %s", text)
}

func TestProcessASecondSignalEndsHooksToo(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	begun, pipe := filepath.Join(dir, "begun"), filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	a := startAgent(t, dir, "a", "--hook-timeout", "10m", "--on", "goose=trap '' TERM; exec 9<> "+pipe+"; echo begun > "+begun+"; while :; do sleep 1; done")
	holds(t, begun, "begun")
	a.signal(syscall.SIGTERM)
	apitest.Eventually(t, func() bool { return strings.Contains(a.log.String(), "a second signal stops at once") }, "it stops")
	a.signal(syscall.SIGINT) // the hook would keep it from ending for minutes
	a.exit()
	apitest.Eventually(t, func() bool {
		f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			_ = f.Close()
		}
		return errors.Is(err, syscall.ENXIO)
	}, "nobody holds the pipe any more: %s", a.log)
}

func TestProcessASignalHeardTwiceIsNoSecondOne(t *testing.T) {
	t.Parallel()
	ended := func() bool {
		dir := shortDir(t)
		begun, over := filepath.Join(dir, "begun"), filepath.Join(dir, "over")
		a := startAgent(t, dir, "a", "--on", "goose=echo begun > "+begun+"; sleep 2; echo over > "+over)
		holds(t, begun, "begun")
		began := time.Now()
		for n := 0; n < 2 || n < 10 && time.Since(began) < 20*time.Millisecond; n++ { // the kernel makes one of those that it has not delivered yet
			a.signal(syscall.SIGTERM)
			time.Sleep(time.Millisecond)
		}
		a.exit()
		_, err := os.Stat(over)
		return err == nil
	}
	for range 20 { // a machine that stands still may make a second signal of one
		if ended() {
			return
		}
	}
	require.Fail(t, "the hook was killed")
}

func TestProcessHupReloadsWhatTheFlockHearsOf(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	config, out := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "out")
	write := func(text string) { require.NoError(t, os.WriteFile(config, []byte(text), 0o600)) }
	write("tag: {rack: 7}\n")
	a := startAgent(t, dir, "a", "--expect", "3")
	b := startAgent(t, dir, "b", "--expect", "3", "--config", config, "--join", a.addr())
	c := startAgent(t, dir, "c", "--expect", "3", "--join", a.addr())
	three := func(s api.Status) bool { return len(s.Config.Voters) == 3 && s.Goose != nil }
	for _, p := range []*process{a, b, c} {
		p.until("three vote", three)
	}
	tagged := func(value string) {
		t.Helper()
		apitest.Eventually(t, func() bool {
			got := call(t, "members", "--json", "--tag", "rack="+value, "--socket", c.socket)
			return got.code == 0 && len(namesOf(t, got.stdout)) == 1
		}, "c lists b with the tag")
	}
	tagged("7")
	write("tag: {rack: 8}\npriority: 7\nlease: 900ms\non:\n  change: " + noteTo(out) + "\n")
	b.signal(syscall.SIGHUP)
	tagged("8")
	c.until("the goose has put the priority into the config", func(s api.Status) bool {
		for _, v := range s.Config.Voters {
			if v.Name == "b" {
				return v.Priority == 7
			}
		}
		return false
	})
	apitest.Eventually(t, func() bool {
		return strings.Contains(b.log.String(), "msg=reloaded log_level=info keys=1 hooks=1 tags=1 priority=7 voters=5") &&
			strings.Contains(b.log.String(), `msg="changed, and takes effect at the next start only" flags=lease`)
	}, "%s", b.log)
	holds(t, out, "change ") // a new hook hears how things are
	write("voters: 4\n")
	b.signal(syscall.SIGHUP)
	apitest.Eventually(t, func() bool { return strings.Contains(b.log.String(), "voters 4: want 1, 3, 5 or 7") }, "%s", b.log)
	tagged("8")
}

func TestProcessVotersOfTheGooseAreReloaded(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	config := filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(config, []byte("voters: 1\n"), 0o600))
	a := startAgent(t, dir, "a", "--config", config)
	b := startAgent(t, dir, "b", "--config", config, "--join", a.addr())
	startAgent(t, dir, "c", "--config", config, "--join", a.addr())
	b.until("all are there", func(s api.Status) bool { return s.Alive == 3 && s.Goose != nil })
	require.Len(t, b.status().Config.Voters, 1)
	require.NoError(t, os.WriteFile(config, []byte("voters: 3\n"), 0o600))
	a.signal(syscall.SIGHUP)
	a.until("three vote", func(s api.Status) bool { return len(s.Config.Voters) == 3 })
}
