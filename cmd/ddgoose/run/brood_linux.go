package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// brood is all descendants of this process, which takes in those that lose
// their parent. One goroutine, bound to one thread for good, starts and reaps: the
// kernel's parent-death signal watches the thread that forked. Nothing waits for
// it but the news of an end: wait4(2) was seen to take half a second in the
// kernel while others look at the dead process in /proc, and killing must not.
type brood struct {
	jobs    chan func()
	poke    chan struct{} // capacity 1: reap
	changed chan struct{} // capacity 1: something has ended
	done    chan struct{} // closed by close
	ended   chan struct{}

	group atomic.Int64 // of what was started last
	led   atomic.Bool  // its first process has not been reaped
	size  atomic.Int64 // descendants when last counted
	empty atomic.Bool  // no child is left, so no descendant is

	exits map[int]chan syscall.WaitStatus // only serve touches it
}

// newBrood makes this process a child subreaper. There is one brood in a process.
func newBrood() (*brood, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a child subreaper: %w", err)
	}
	b := &brood{
		jobs: make(chan func()), poke: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		done: make(chan struct{}), ended: make(chan struct{}), exits: map[int]chan syscall.WaitStatus{},
	}
	b.empty.Store(true)
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
		case <-b.poke:
		case job := <-b.jobs:
			job()
		case <-b.done:
			return
		}
	}
}

// reap takes the status of whatever has ended.
func (b *brood) reap() {
	for died := false; ; died = true {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|unix.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			b.empty.Store(err == syscall.ECHILD)
			if died {
				tell(b.changed)
			}
			return
		}
		if int64(pid) == b.group.Load() {
			b.led.Store(false)
		}
		if exit, ours := b.exits[pid]; ours {
			exit <- status
			delete(b.exits, pid)
		}
	}
}

// tell fills a channel of capacity 1.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start starts a child and gives the channel on which its status will come.
func (b *brood) start(path string, args []string, attr *syscall.ProcAttr) (pid int, exit <-chan syscall.WaitStatus, err error) {
	started := make(chan struct{})
	b.jobs <- func() {
		defer close(started)
		if pid, err = syscall.ForkExec(path, args, attr); err != nil {
			return
		}
		c := make(chan syscall.WaitStatus, 1)
		exit, b.exits[pid] = c, c
		b.empty.Store(false)
		b.group.Store(int64(pid))
		b.led.Store(true)
	}
	<-started
	return pid, exit, err
}

// signal signals all that is left.
func (b *brood) signal(sig unix.Signal) {
	b.size.Store(int64(signalAll(sig, int(b.group.Load()), b.led.Load())))
}

// count counts all descendants.
func (b *brood) count() {
	n := int64(0)
	walk(os.Getpid(), func(process) { n++ })
	b.size.Store(n)
}

// kill kills until nothing is left. pass is called before each round.
func (b *brood) kill(pass func()) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for pause := time.Millisecond; !b.empty.Load(); {
		pass()
		b.signal(unix.SIGKILL)
		wait.Reset(pause)
		select {
		case <-b.changed:
		case <-wait.C:
			// Nothing has died, or its signal is late: look, ever less often.
			tell(b.poke)
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
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
