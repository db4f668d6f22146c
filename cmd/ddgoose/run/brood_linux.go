package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// brood is all descendants of this process, which takes in those that lose
// their parent. One goroutine, bound to one thread for good, starts and reaps: the
// kernel's parent-death signal watches the thread that forked.
type brood struct {
	jobs    chan func()
	done    chan struct{} // closed by close
	ended   chan struct{}
	changed chan struct{} // capacity 1: something has ended

	mu struct { // guards what follows
		sync.Mutex
		exits map[int]chan syscall.WaitStatus
		group int  // of what was started last
		empty bool // no child is left, so no descendant is
	}
}

// newBrood makes this process a child subreaper. There is one brood in a process.
func newBrood() (*brood, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a child subreaper: %w", err)
	}
	b := &brood{
		jobs: make(chan func()), done: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	b.mu.exits, b.mu.empty = map[int]chan syscall.WaitStatus{}, true
	go b.serve()
	return b, nil
}

func (b *brood) serve() {
	defer close(b.ended)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		b.reap()
		select {
		case <-died:
		case job := <-b.jobs:
			job()
		case <-b.done:
			return
		}
	}
}

// reap takes the status of whatever has ended.
func (b *brood) reap() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for died := false; ; died = true {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|unix.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			b.mu.empty = err == syscall.ECHILD
			if died {
				b.tell()
			}
			return
		}
		if exit, ours := b.mu.exits[pid]; ours {
			exit <- status
			delete(b.mu.exits, pid)
		}
	}
}

func (b *brood) tell() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// start starts a child and gives the channel on which its status will come.
func (b *brood) start(path string, args []string, attr *syscall.ProcAttr) (pid int, exit <-chan syscall.WaitStatus, err error) {
	started := make(chan struct{})
	b.jobs <- func() {
		defer close(started)
		b.mu.Lock()
		defer b.mu.Unlock()
		if pid, err = syscall.ForkExec(path, args, attr); err != nil {
			return
		}
		c := make(chan syscall.WaitStatus, 1)
		exit, b.mu.exits[pid], b.mu.empty = c, c, false
		b.mu.group = pid
	}
	<-started
	return pid, exit, err
}

// empty tells whether nothing is left below this process.
func (b *brood) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.empty
}

// signal signals all that is left.
func (b *brood) signal(sig unix.Signal) {
	b.mu.Lock()
	group := b.mu.group
	b.mu.Unlock()
	signalAll(sig, group)
}

// kill kills until nothing is left. pass is called before each round.
func (b *brood) kill(pass func()) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	pause := time.Millisecond
	for !b.empty() {
		pass()
		b.signal(unix.SIGKILL)
		wait.Reset(pause)
		select {
		case <-b.changed:
		case <-wait.C:
			// Nothing has died, or a word about it was lost: look for ourselves, ever less often.
			b.look()
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

// look reaps without having been told.
func (b *brood) look() {
	looked := make(chan struct{})
	b.jobs <- func() { close(looked) } // serve reaps afterwards, and before the next job
	<-looked
}

func (b *brood) close() {
	close(b.done)
	<-b.ended
}

// codeOf gives the exit code that shells give for a status.
func codeOf(s syscall.WaitStatus) int {
	if s.Signaled() {
		return codeOfSignal + int(s.Signal())
	}
	return s.ExitStatus()
}

// codeOfStart gives the exit code for a command that could not be started.
func codeOfStart(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
		return CodeNotFound
	}
	return CodeNotRunable
}
