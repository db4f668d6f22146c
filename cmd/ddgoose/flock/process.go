package flock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"duckduckgoose/agent/client"
)

// Agent is one agent's process, started or not.
type Agent struct {
	Name, Addr, Socket, Log, Data string
	HTTP                          string // "" when it has none

	mu   sync.Mutex // guards what follows
	proc *os.Process
	gone chan struct{} // closed when the process has ended
	born time.Time
	exit error
}

// Client talks to the agent.
func (a *Agent) Client() *client.Client { return client.New(a.Socket) }

// Running tells whether the process lives.
func (a *Agent) Running() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proc != nil
}

// PID gives the process id, 0 when it does not run.
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
	if a.proc == nil {
		return fmt.Errorf("agent %s does not run", a.Name)
	}
	return a.proc.Signal(sig)
}

// Gone is closed when the process that runs now has ended; nil when none does.
func (a *Agent) Gone() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone
}

// Exit tells how the last process ended, with the last line of its log.
func (a *Agent) Exit() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.exit == nil {
		return nil
	}
	return fmt.Errorf("agent %s: %w: %s", a.Name, a.exit, lastLine(a.Log))
}

func (a *Agent) start(s *spawner, binary string, args []string) error {
	logFile, err := os.OpenFile(a.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", a.Name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = withoutOurs(os.Environ())
	// A group of its own: Ctrl-C reaches the driver only, which stops them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	if err := s.start(cmd); err != nil {
		return fmt.Errorf("start agent %s: %w", a.Name, err)
	}
	gone := make(chan struct{})
	a.mu.Lock()
	a.proc, a.gone, a.born, a.exit = cmd.Process, gone, time.Now(), nil
	a.mu.Unlock()
	go func() {
		err := cmd.Wait()
		a.mu.Lock()
		a.proc, a.exit = nil, err
		a.mu.Unlock()
		close(gone)
	}()
	return nil
}

// withoutOurs drops settings of ours: the driver's must not reach the agents.
func withoutOurs(env []string) []string {
	var kept []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "DDGOOSE_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

func (a *Agent) waitUntil(deadline time.Time) bool {
	gone := a.Gone()
	if gone == nil {
		return true
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-gone:
		return true
	case <-timer.C:
		return false
	}
}

// setNetem sets the agent's rules, "" clears them. An agent that is just
// starting gets them with its flags.
func (a *Agent) setNetem(ctx context.Context, rules string) error {
	if rules == "" {
		return a.Client().ClearNetem(ctx)
	}
	_, err := a.Client().SetNetem(ctx, rules, 0)
	return err
}

func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// freePorts finds ports that are free for UDP and TCP on loopback.
func freePorts(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries > 20*n {
			return nil, errors.New("no free ports on 127.0.0.1 for UDP and TCP both")
		}
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer tcp.Close()
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		defer udp.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// spawner starts processes from one thread that lives as long as the flock:
// the kernel's parent-death signal watches the starting thread.
type spawner struct {
	jobs chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

func (s *spawner) close() {
	close(s.jobs)
	<-s.done
}
