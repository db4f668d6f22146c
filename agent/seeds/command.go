package seeds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	// commandWait is how long a command may take; then its process group is killed.
	commandWait = 10 * time.Second
	// lingering is how long output is waited for after the command has ended: what
	// it left in the background may keep it open.
	lingering = 500 * time.Millisecond
	// maxOutput bounds what is read of it, in bytes; maxComplaint what is kept of
	// its stderr.
	maxOutput    = 64 << 10
	maxComplaint = 512
	// maxLooks bounds the names of one output that are looked up.
	maxLooks = 64
)

// commandAddrs runs a command and reads the addresses that it prints.
func commandAddrs(ctx context.Context, r *net.Resolver, line string) ([]netip.AddrPort, error) {
	output, err := execute(ctx, line)
	if err != nil {
		return nil, err
	}
	var hosts []Seed
	var faults []error
	names := 0
	for _, word := range strings.FieldsFunc(output, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
		s, err := Parse(word)
		if s.kind == name {
			names++
		}
		switch {
		case err == nil && (s.kind == records || s.kind == command):
			err = errors.New("want HOST or HOST:PORT")
		case names > maxLooks:
			err = fmt.Errorf("names are at most %d in one output", maxLooks)
		}
		if err != nil {
			faults = append(faults[:min(len(faults), 2)], fmt.Errorf("it printed %.80q: %w", word, err))
			continue
		}
		hosts = append(hosts, s)
	}
	if len(hosts) == 0 && len(faults) == 0 {
		return nil, errors.New("it printed no address")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	addrs, err := all(ctx, r, hosts)
	return addrs, errors.Join(append(faults, err)...)
}

// execute gives what a command prints.
func execute(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
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
		return "", fmt.Errorf("it took longer than %v, and was killed", commandWait)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		if said := stderr.lastLine(); said != "" {
			return "", fmt.Errorf("%w: %s", err, said)
		}
		return "", err
	}
	return string(stdout.text), nil
}

// environment is the agent's own without what ties a process to the service
// manager: a child must not speak for the agent.
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
