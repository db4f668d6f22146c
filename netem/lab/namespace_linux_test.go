package lab

import (
	"fmt"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name, and one thread in it. The
// kernel's parent-death signal watches the thread that started a process, so
// the thread stays for as long as the namespace is used.
type namespace struct {
	fd   netns.NsHandle
	jobs chan func()
	done chan struct{}
}

func newNamespace() (*namespace, error) {
	n := &namespace{jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(n.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		fd, err := netns.Get()
		n.fd = fd
		ready <- err
		for job := range n.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		close(n.jobs)
		return nil, err
	}
	return n, nil
}

// do runs f inside the namespace.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1)
	n.jobs <- func() { result <- f() }
	return <-result
}

// start starts a process inside the namespace, which dies with this one.
func (n *namespace) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	return n.do(cmd.Start)
}

// close gives the namespace up; the kernel removes it when no process is left in it.
func (n *namespace) close() {
	close(n.jobs)
	<-n.done
	_ = n.fd.Close() // nothing was written by it
}
