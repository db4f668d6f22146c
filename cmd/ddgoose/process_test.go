package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// process is a real ddgoose agent.
type process struct {
	t            *testing.T
	name         string
	data, socket string
	cmd          *exec.Cmd
	log          *lockedBuffer
	stderr       *os.File      // where it logs instead, when set
	gone         chan struct{} // closed when it has ended
}

// lockedBuffer is what a process writes, read while it runs. A pipe feeds it, so
// that limits on files do not reach the log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startAgent starts an agent on a free port, with its disk and socket in dir, and a
// lease that a busy machine rarely costs. A flag in more beats the usual one.
func startAgent(t *testing.T, dir, name string, more ...string) *process {
	t.Helper()
	p := newProcess(t, dir, name)
	p.start(more...)
	return p
}

// newProcess is an agent that has not started.
func newProcess(t *testing.T, dir, name string) *process {
	return &process{t: t, name: name, data: filepath.Join(dir, name), socket: filepath.Join(dir, name+".sock")}
}

// start starts the agent, again with the same disk.
func (p *process) start(more ...string) {
	p.t.Helper()
	args := []string{"agent"}
	for _, usual := range [][2]string{{"--name", p.name}, {"--bind", "127.0.0.1:0"}, {"--data-dir", p.data}, {"--socket", p.socket}, {"--profile", "wan"}} {
		if !strings.Contains(" "+strings.Join(more, " "), " "+usual[0]+" ") {
			args = append(args, usual[0], usual[1])
		}
	}
	p.spawn(exec.Command(binary(p.t), append(args, more...)...))
}

func (p *process) spawn(cmd *exec.Cmd) {
	p.t.Helper()
	p.cmd, p.log, p.gone = cmd, &lockedBuffer{}, make(chan struct{})
	cmd.Stderr, cmd.Stdout = p.log, p.log
	if p.stderr != nil {
		cmd.Stderr = p.stderr
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // and so it can be ended with all below it
	require.NoError(p.t, cmd.Start())
	gone := p.gone
	go func() {
		_ = cmd.Wait() // its code is read from its state
		close(gone)
	}()
	p.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		<-gone
	})
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// exit waits for the end, and gives the exit code; -1: by a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(soon):
		require.FailNow(p.t, "it runs still", "%s: %s", p.name, p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// status asks the agent, until it answers.
func (p *process) status() api.Status {
	p.t.Helper()
	return p.until("answers", func(api.Status) bool { return true })
}

// until waits until the agent's status is so, and fails when the agent ends.
func (p *process) until(what string, is func(api.Status) bool) (s api.Status) {
	p.t.Helper()
	apitest.Eventually(p.t, func() bool {
		if closed(p.gone) {
			require.FailNow(p.t, "it has ended", "%s, before %s: %s", p.name, what, p.log)
		}
		ctx, cancel := context.WithTimeout(p.t.Context(), soon)
		defer cancel()
		var err error
		s, err = client.New(p.socket).Status(ctx)
		return err == nil && is(s)
	}, "%s: %s: %+v", p.name, what, &s)
	return s
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// addr is where the others find the agent.
func (p *process) addr() string {
	p.t.Helper()
	return p.until("bound", func(s api.Status) bool { return !strings.HasSuffix(s.Addr, ":0") && s.Addr != "" }).Addr
}

func isGoose(s api.Status) bool { return s.Role == api.RoleGoose }

func warns(text string) func(api.Status) bool {
	return func(s api.Status) bool { return strings.Contains(strings.Join(s.Warnings, "\n"), text) }
}

// call runs the real binary to its end.
func call(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		var exited *exec.ExitError
		require.ErrorAs(t, err, &exited)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// newFlock starts agents that found a flock together, and waits until all vote.
func newFlock(t *testing.T, names ...string) (flock []*process) {
	t.Helper()
	return newFlockWith(t, nil, names...)
}

// calm are the flags of agents whose lease no busy machine costs. A goose that dies
// keeps the others waiting for it.
var calm = []string{"--heartbeat", "2s", "--lease", "10s"}

// newFlockWith is newFlock with further flags for all.
func newFlockWith(t *testing.T, more []string, names ...string) (flock []*process) {
	t.Helper()
	dir := shortDir(t)
	port := "127.0.0.1:0"
	for i, name := range names {
		flags := append([]string{"--expect", string(rune('0' + len(names)))}, more...)
		if i > 0 {
			flags = append(flags, "--join", port)
		}
		p := startAgent(t, dir, name, flags...)
		if i == 0 {
			port = p.addr()
		}
		flock = append(flock, p)
	}
	for _, p := range flock {
		p.until("all vote", func(s api.Status) bool { return len(s.Config.Voters) == len(names) && s.Goose != nil })
	}
	return flock
}

// gooseOf waits until all of these name the same goose, above a token.
func gooseOf(t *testing.T, above uint64, flock ...*process) (goose *process, token uint64) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		goose = nil
		seen := map[uint64]bool{}
		for _, p := range flock {
			s := p.status()
			if s.Goose == nil || s.Token <= above {
				return false
			}
			if seen[s.Token] = true; isGoose(s) {
				goose, token = p, s.Token
			}
		}
		return goose != nil && len(seen) == 1
	}, "one goose for all")
	return goose, token
}

func without(flock []*process, p *process) (rest []*process) {
	for _, q := range flock {
		if q != p {
			rest = append(rest, q)
		}
	}
	return rest
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, errors.Join(err, f.Close()))
}
