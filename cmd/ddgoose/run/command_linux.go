package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"duckduckgoose/agent/client"
)

const (
	// firstCount is when what runs is counted first; then the pauses double.
	firstCount = 50 * time.Millisecond
	countPause = time.Second
)

// command is CMD with all its descendants.
type command struct {
	*subtree
	argv []string
}

var (
	_ actor   = (*command)(nil)
	_ renewer = (*command)(nil)
)

// renew counts what runs where that is cheap.
func (c *command) renew(time.Duration) {
	if c.cgroup != nil {
		c.count()
	}
}

func (c *command) start(env []string) <-chan outcome {
	ended := make(chan outcome, 1)
	err := c.prepare()
	go func() {
		code, err := c.run(env, err)
		ended <- outcome{code, err}
	}()
	return ended
}

// run starts CMD, waits for its end, and counts its descendants meanwhile. err says why
// CMD cannot be started.
func (c *command) run(env []string, err error) (int, error) {
	var path string
	if err == nil {
		path, err = exec.LookPath(c.argv[0])
	}
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		c.started()
		return codeOfStart(err), err
	}
	// The forking thread counts as running Go code until the kernel has loaded CMD. A
	// garbage collection would wait for it, and all other goroutines for the collection.
	percent := debug.SetGCPercent(-1)
	_, exit, err := c.subtree.start(path, c.argv, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, 1, 2},
		// If the guard is killed, the kernel kills CMD, without waiting for run.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	debug.SetGCPercent(percent)
	if err != nil {
		return codeOfStart(err), &os.PathError{Op: "start", Path: path, Err: err}
	}
	tick := time.NewTimer(firstCount)
	defer tick.Stop()
	for pause := 2 * firstCount; ; pause = min(2*pause, countPause) {
		select {
		case status := <-exit:
			return codeOf(status), nil
		case <-tick.C:
			c.count()
			tick.Reset(pause)
		}
	}
}

// describe promises to answer deadlines only if the agent can kill CMD when no guard
// answers.
func (c *command) describe(o *client.HoldOptions) {
	o.Work, o.Ends = "run", "SIGKILL to each process (no writable cgroup)"
	if c.cgroup != nil {
		o.Ends, o.Acks, o.Cgroup = "cgroup.kill", true, c.cgroup.dir
	}
}

func (c *command) killTime(guess func(int) time.Duration) time.Duration {
	if c.empty.Load() {
		return guess(0)
	}
	return guess(int(c.size.Load()))
}
