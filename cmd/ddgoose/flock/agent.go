package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"duckduckgoose/agent/client"
)

// Agent is one agent's process, started or not.
type Agent struct {
	Name, Addr, Socket, Log, Data string
	HTTP                          string // "": it has none

	mu     sync.Mutex // guards what follows
	proc   *os.Process
	gone   chan struct{} // closed when the process has ended
	born   time.Time
	ended  time.Time
	exit   error
	killed bool // the last process ended because we killed it
	held   bool // it stays dead until somebody asks for its start
}

// Client talks to the agent.
func (a *Agent) Client() *client.Client { return client.New(a.Socket) }

// Running reports whether the process lives.
func (a *Agent) Running() bool { return a.PID() != 0 }

// PID returns the process id, 0 when it does not run.
func (a *Agent) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proc == nil {
		return 0
	}
	return a.proc.Pid
}

// Age is how long the process has lived.
func (a *Agent) Age() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.born)
}

// Signal sends a signal to the process.
func (a *Agent) Signal(sig os.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signal(sig)
}

func (a *Agent) signal(sig os.Signal) error {
	if a.proc == nil {
		return fmt.Errorf("agent %s: %w", a.Name, ErrStopped)
	}
	a.killed = a.killed || sig == os.Kill
	return a.proc.Signal(sig)
}

// KillGroup kills the process and all that it has started in its process group at
// once, as the end of a machine would.
func (a *Agent) KillGroup() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proc == nil {
		return fmt.Errorf("agent %s: %w", a.Name, ErrStopped)
	}
	a.killed = true
	return syscall.Kill(-a.proc.Pid, syscall.SIGKILL)
}

// ErrStopped says that an agent cannot be signalled because it does not run.
var ErrStopped = errors.New("it does not run")

// Gone is closed when the present or last process has ended; nil: none was started.
func (a *Agent) Gone() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone
}

// ExitError returns how the last process ended; nil: with exit code 0, or it still runs.
func (a *Agent) ExitError() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exit
}

// Exit returns how the last process ended, with the last line of its log; nil: it still
// runs, or we killed it.
func (a *Agent) Exit() error {
	a.mu.Lock()
	proc, killed, exit := a.proc, a.killed, a.exit
	started := !a.born.IsZero()
	a.mu.Unlock()
	if !started || proc != nil || killed {
		return nil
	}
	how := "ended by itself"
	if exit != nil {
		how = "ended with " + exit.Error()
	}
	return fmt.Errorf("agent %s %s: %s", a.Name, how, lastLine(a.Log))
}

func (a *Agent) start(s *Spawner, binary string, args []string) error {
	logFile, err := os.OpenFile(a.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", a.Name, err)
	}
	defer logFile.Close() // the agent has its own copy
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = withoutOurs(os.Environ())
	// A group of its own: Ctrl-C reaches the driver only, which stops them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.Start(cmd); err != nil {
		return fmt.Errorf("start agent %s: %w", a.Name, err)
	}
	gone := make(chan struct{})
	a.mu.Lock()
	a.proc, a.gone, a.born, a.exit = cmd.Process, gone, time.Now(), nil
	a.killed = false
	if a.held { // since start was called
		_ = a.signal(os.Kill)
	}
	a.mu.Unlock()
	go func() {
		err := cmd.Wait()
		a.mu.Lock()
		a.proc, a.exit, a.ended = nil, err, time.Now()
		a.mu.Unlock()
		close(gone)
	}()
	return nil
}

// release ends a hold if evenHeld, and reports whether the agent may start.
func (a *Agent) release(evenHeld bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = a.held && !evenHeld
	return !a.held
}

// withoutOurs removes the DDGOOSE_ settings of the driver's environment, except those of
// the key: an agent started by hand beside the flock has the same key.
func withoutOurs(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "DDGOOSE_") && name != "DDGOOSE_KEY_FILE" && name != "DDGOOSE_INSECURE"
	})
}

// waitUntil waits for the end of the process, and reports whether it came in time.
func (a *Agent) waitUntil(ctx context.Context) bool {
	gone := a.Gone()
	if gone == nil {
		return true
	}
	select {
	case <-gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// startupWait is how long an agent that was just started may take to answer.
const startupWait = 3 * time.Second

// setNetem sets the agent's rules; "" clears them. It is no error if the agent ends
// meanwhile.
func (a *Agent) setNetem(ctx context.Context, rules string) error {
	c := a.Client()
	c.Wait = startupWait
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if a.waitUntil(ctx) {
			cancel()
		}
	}()
	var err error
	if rules == "" {
		err = c.ClearNetem(ctx)
	} else {
		_, err = c.SetNetem(ctx, rules, 0)
	}
	if !a.Running() {
		return nil
	}
	return err
}

// lastLog bounds how much of a log is read for its last line.
const lastLog = 4096

func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > lastLog {
		_, _ = f.Seek(-lastLog, 2) // if it fails, the read starts at the beginning, which only takes longer
	}
	b := make([]byte, lastLog)
	n, _ := f.Read(b)
	lines := strings.Split(strings.TrimSpace(string(b[:n])), "\n")
	return lines[len(lines)-1]
}

// Use returns the CPU time that the process has used, and its present resident memory in
// MB. It works on Linux only.
func (a *Agent) Use() (cpu time.Duration, rssMB float64, err error) {
	var stat procfs.ProcStat
	proc, err := procfs.NewProc(a.PID())
	if err == nil {
		stat, err = proc.Stat()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the use of agent %s's process (Linux only): %w", a.Name, err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), float64(stat.ResidentMemory()) / (1 << 20), nil
}
