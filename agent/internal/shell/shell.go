// Package shell runs an operator's command line for the agent, with bounds on its
// time and output.
package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// lingering is how long Run waits for output after the command has ended: processes
	// that it left in the background may keep the pipe open.
	lingering = 500 * time.Millisecond
	// maxOutput bounds the output that is read, in bytes; maxComplaint what is kept of
	// stderr.
	maxOutput    = 64 << 10
	maxComplaint = 512
)

// Run runs a line by /bin/sh and returns what it prints. The error has the last line
// of its stderr. Run kills the process group if it takes longer than wait, or prints
// more than 64 KiB.
func Run(ctx context.Context, line string, wait time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	stdout, stderr := &head{most: maxOutput, full: cancel}, &head{most: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = environment(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lingering
	err := cmd.Run()
	switch {
	case stdout.over:
		return "", fmt.Errorf("it printed more than %d KiB, and was killed", maxOutput>>10)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("it took longer than %v, and was killed", wait)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		if said := stderr.lastLine(); said != "" {
			return "", fmt.Errorf("%w: %s", err, said)
		}
		return "", err
	}
	return string(stdout.text), nil
}

// environment is the agent's own without the variables by which a process notifies
// the service manager: a child must not speak for the agent.
func environment(own []string) (env []string) {
	for _, v := range own {
		name, _, _ := strings.Cut(v, "=")
		if name != "NOTIFY_SOCKET" && !strings.HasPrefix(name, "WATCHDOG_") && !strings.HasPrefix(name, "LISTEN_") {
			env = append(env, v)
		}
	}
	return env
}

// head keeps the beginning of what is written to it.
type head struct {
	text []byte
	most int
	over bool
	full func() // called when there is more; nil: the rest is dropped
}

func (h *head) Write(b []byte) (int, error) {
	room := h.most - len(h.text)
	if len(b) > room {
		h.over = true
		if h.full != nil {
			h.full()
		}
	}
	h.text = append(h.text, b[:min(len(b), room)]...)
	return len(b), nil
}

func (h *head) lastLine() string {
	text := strings.TrimSpace(string(h.text))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
