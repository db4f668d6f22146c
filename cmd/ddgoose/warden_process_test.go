//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// patient are the flags of agents whose lease ends long after a will has been read, however
// busy the machine is.
var patient = append([]string{"--warden"}, calm...)

// warden waits until an agent's warden has begun, and gives its process.
func (p *process) warden() (pid int) {
	p.t.Helper()
	apitest.Eventually(p.t, func() bool {
		names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
		for _, name := range names {
			children, _ := os.ReadFile(name)
			for _, word := range strings.Fields(string(children)) {
				line, _ := os.ReadFile("/proc/" + word + "/cmdline")
				if strings.HasPrefix(string(line), "ddgoose-warden") {
					fmt.Sscan(word, &pid)
				}
			}
		}
		return pid != 0
	}, "%s has a warden", p.name)
	return pid
}

// follows waits for the next goose, and gives why its log says that the last one ended.
func follows(t *testing.T, flock []*process, goose *process, token uint64) (next *process, reason string) {
	t.Helper()
	next, _ = gooseOf(t, token, without(flock, goose)...)
	apitest.Eventually(t, func() bool {
		for line := range strings.Lines(next.log.String()) {
			if strings.Contains(line, `msg="new goose"`) && strings.Contains(line, "previous="+goose.name) {
				_, reason, _ = strings.Cut(line, "reason=")
			}
		}
		return reason != ""
	}, "%s tells why %s ended", next.name, goose.name)
	return next, strings.Trim(strings.TrimSpace(reason), `"`)
}

func TestProcessLastWillOfAGooseThatDies(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGABRT} { // of a kill, and of a panic
		flock := newFlockWith(t, patient, "a", "b", "c")
		goose, token := gooseOf(t, 0, flock...)
		goose.warden()
		goose.signal(sig)
		goose.exit()
		next, reason := follows(t, flock, goose, token)
		require.Equal(t, goose.name+" died", reason)
		h, err := client.New(next.socket).History(t.Context())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprintf("%+v", h), "Ended:died")
	}
}

// The will waits until the guard of the work has killed it.
func TestProcessLastWillWaitsForTheWork(t *testing.T) {
	t.Parallel()
	flock := newFlockWith(t, patient, "a", "b", "c")
	goose, token := gooseOf(t, 0, flock...)
	goose.warden()
	file := filepath.Join(filepath.Dir(goose.socket), "pid")
	work := exec.Command(binary(t), "run", "--socket", goose.socket, "--", "sh", "-c", "echo $$ > "+file+".new; mv "+file+".new "+file+"; exec sleep 1000")
	work.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, work.Start())
	t.Cleanup(func() {
		_ = work.Process.Signal(syscall.SIGTERM) // its guard ends the rest
		_ = work.Wait()
	})
	var pid int
	apitest.Eventually(t, func() bool {
		b, _ := os.ReadFile(file)
		_, err := fmt.Sscan(string(b), &pid)
		return err == nil
	}, "the work runs")
	goose.signal(syscall.SIGKILL)
	goose.exit()
	_, reason := follows(t, flock, goose, token)
	require.Equal(t, goose.name+" died", reason)
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "the work was gone before")
}

// A holder that reports nothing keeps the whole lease.
func TestProcessNoLastWillWhileAHolderIsSilent(t *testing.T) {
	t.Parallel()
	flock := newFlockWith(t, []string{"--warden", "--heartbeat", "500ms", "--lease", "4s"}, "a", "b", "c")
	goose, token := gooseOf(t, 0, flock...)
	goose.warden()
	conn, err := net.Dial("unix", goose.socket)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = io.WriteString(conn, "POST /v1/lead HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.NoError(t, err)
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.Contains(lines.Text(), "until_boottime_ns") {
	}
	require.NoError(t, lines.Err())
	goose.signal(syscall.SIGKILL)
	goose.exit()
	_, reason := follows(t, flock, goose, token)
	require.NotContains(t, reason, "died")
}

func TestProcessNoLastWillOfAGooseThat(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*process){
		"is stopped": func(p *process) { p.signal(syscall.SIGSTOP) },
		"dies with its warden": func(p *process) {
			require.NoError(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
		},
		"pretends to be in a bad network": func(p *process) {
			require.Zero(t, call(t, "netem", "set", "*: delay 1ms", "--socket", p.socket).code)
			p.signal(syscall.SIGKILL)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			flock := newFlockWith(t, []string{"--warden"}, "a", "b", "c")
			goose, token := gooseOf(t, 0, flock...)
			goose.warden()
			end(goose)
			_, reason := follows(t, flock, goose, token)
			require.NotContains(t, reason, "died")
		})
	}
}

func TestProcessWardenEndsWithAnAgentThatStops(t *testing.T) {
	t.Parallel()
	flock := newFlockWith(t, patient, "a", "b", "c")
	goose, token := gooseOf(t, 0, flock...)
	warden := goose.warden()
	goose.signal(syscall.SIGTERM)
	require.Zero(t, goose.exit(), goose.log)
	require.ErrorIs(t, syscall.Kill(warden, 0), syscall.ESRCH, "it was reaped")
	_, reason := follows(t, flock, goose, token)
	require.Equal(t, goose.name+" handed over", reason)
	require.NoFileExists(t, goose.socket+".warden")
}

func TestProcessWardenThatDiesIsReplacedAndTold(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a", "--warden")
	a.until("goose", isGoose)
	first := a.warden()
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	apitest.Eventually(t, func() bool { return strings.Contains(a.log.String(), "the warden does not run") }, "it is told")
	apitest.Eventually(t, func() bool { return a.warden() != first }, "another runs")
}

// The end of a container's first process ends all others in it: it waits for the warden.
func TestProcessLastWillOfAContainersGoose(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	a := newProcess(t, dir, "a")
	cmd := exec.Command(binary(t), append([]string{"agent", "--name", "a", "--bind", "127.0.0.1:0", "--data-dir", a.data, "--socket", a.socket, "--expect", "3", "--priority", "200"}, patient...)...)
	firstProcess(t, cmd)
	a.spawn(cmd)
	flock := []*process{a}
	for _, name := range []string{"b", "c"} {
		flock = append(flock, startAgent(t, dir, name, append([]string{"--expect", "3", "--join", a.addr()}, patient...)...))
	}
	goose, token := gooseOf(t, 0, flock...)
	if goose != a {
		require.Zero(t, call(t, "step-down", "--to", "a", "--socket", goose.socket, "--timeout", soon.String()).code)
		goose, token = gooseOf(t, token, flock...)
	}
	require.Equal(t, a, goose)
	apitest.Eventually(t, func() bool { return descendantsOf(cmd.Process.Pid) == 2 }, "the agent and its warden")
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
	require.NoError(t, err)
	for _, file := range children {
		var pid int
		text, _ := os.ReadFile(file) // the thread may have ended
		if _, err := fmt.Sscan(string(text), &pid); err == nil {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	require.Equal(t, exitSignalled+int(syscall.SIGKILL), a.exit())
	_, reason := follows(t, flock, a, token)
	require.Equal(t, "a died", reason)
}
