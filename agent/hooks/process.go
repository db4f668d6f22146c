package hooks

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"syscall"
	"time"
)

// lingering is how long run waits for output after the hook itself has ended: a
// background process may keep it open.
const lingering = 500 * time.Millisecond

// run runs one hook for one event, and counts and logs the result.
func (r *Runner) run(ctx context.Context, h Hook, e Event, timeout time.Duration) {
	r.ran.Add(1)
	began := time.Now()
	var stdout, stderr lastLine
	err := r.execute(ctx, h.Command, e, timeout, &stdout, &stderr)
	took := time.Since(began).Round(time.Millisecond)
	args := []any{"on", string(h.On), "command", h.Command, "event", e.Seq, "took", took, "stderr", stderr.String()}
	if err == nil {
		r.opts.Log.Debug("hook done", append(args, "stdout", stdout.String())...)
		return
	}
	r.failed.Add(1)
	r.opts.Log.Warn("hook failed", append(args, "error", err)...)
}

var (
	errTimeout = errors.New("killed with its process group: it took longer than --hook-timeout")
	errStopped = errors.New("killed with its process group: the agent was stopped at once")
)

// execute runs a command for an event, for at most timeout.
func (r *Runner) execute(ctx context.Context, command string, e Event, timeout time.Duration, stdout, stderr *lastLine) error {
	document, err := e.document()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = e.environ(r.opts.Environ, r.opts.Socket)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(document), stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = lingering
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			return nil // the hook succeeded; a background process goes on
		}
		return err
	case <-r.after(timeout):
		r.timedOut.Add(1)
		r.end(ctx, cmd.Process.Pid)
		<-ended
		return errTimeout
	case <-ctx.Done():
		kill(cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		return errStopped
	}
}

// end stops a process group: SIGTERM, later SIGKILL for the rest. The kernel does not
// reuse the group's id while one of its processes lives.
func (r *Runner) end(ctx context.Context, group int) {
	if !kill(group, syscall.SIGTERM) {
		return
	}
	later := time.NewTimer(r.killAfter)
	defer later.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for kill(group, 0) {
		select {
		case <-look.C:
		case <-later.C:
			kill(group, syscall.SIGKILL)
			return
		case <-ctx.Done():
			kill(group, syscall.SIGKILL)
			return
		}
	}
}

// kill signals a process group, and reports whether a process of it is left.
func kill(group int, sig syscall.Signal) bool { return syscall.Kill(-group, sig) == nil }

// tailBytes bounds how much of a hook's output is kept.
const tailBytes = 512

// lastLine keeps the end of what is written to it.
type lastLine struct{ tail []byte }

func (l *lastLine) Write(b []byte) (int, error) {
	l.tail = append(l.tail, b...)
	if over := len(l.tail) - tailBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	return len(b), nil
}

// String returns the last line that is not empty.
func (l *lastLine) String() string {
	text := bytes.TrimSpace(l.tail)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
