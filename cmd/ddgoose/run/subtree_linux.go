package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// subtree is all descendants of this process, which also becomes the parent of those that lose
// theirs. One goroutine, locked to one thread, starts them all: the kernel's parent-death
// signal depends on the thread that forked.
type subtree struct {
	*reaper
	thread int             // of that goroutine
	own    *unix.SchedAttr // its priority at first; nil: not known

	jobs  chan func()
	poke  chan struct{} // capacity 1: reap
	done  chan struct{} // closed by close
	ended chan struct{}

	cgroup   *cgroup  // of all descendants; nil: none
	into     *cgroup  // where children start: cgroup, or one below it
	intoFile *os.File // into, open for the next start

	size atomic.Int64 // descendants at the last count

	kills    atomic.Int32 // since the last start
	hunts    atomic.Int32 // since the last start: kills of what no cgroup ends
	walking  sync.Mutex   // a walk that kills is under way
	starting atomic.Bool  // a start is under way
	barred   atomic.Bool  // kill was called since the last start: a start under way must fail
	ending   atomic.Bool  // stop or kill was called: exit statuses no longer count
}

// When everything must end, this process ignores SIGCHLD, so each dead process frees itself, at its
// own priority. With wait4(2) this process would do that work, at the highest priority, and in a
// busy loop while another process reads the dead one's files in /proc: a thousand dead processes
// then blocked two processors for five seconds.
const (
	// lookSoon is how long after a kill this process looks whether a child is left. The pauses double.
	lookSoon = 2 * time.Millisecond
	lookMost = 20 * time.Millisecond
)

const (
	// huntFirst is how long a walk may keep the children from being killed.
	huntFirst = 10 * time.Millisecond
	// huntEvery is how many hunts pass from one walk to the next.
	huntEvery = 8
)

// reapKills is after how many kills by the cgroup kill also looks for descendants that left it, if
// the cgroup is empty and a child lives. It waits because reading /proc delays dying processes.
const reapKills = 3

// newSubtree makes this process a child subreaper. There is one subtree in a process.
func newSubtree() (*subtree, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a child subreaper: %w", err)
	}
	b := &subtree{
		reaper: newReaper(), jobs: make(chan func()), poke: make(chan struct{}, 1),
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	ready := make(chan struct{})
	go b.serve(ready)
	<-ready
	return b, nil
}

func (b *subtree) serve(ready chan<- struct{}) {
	defer close(b.ended)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	b.thread = unix.Gettid()
	b.own, _ = unix.SchedGetAttr(0, 0) // a kernel before 3.14
	close(ready)
	died := make(chan os.Signal, 1)
	defer signal.Stop(died)
	look := time.NewTimer(0)
	defer look.Stop()
	signal.Notify(died, unix.SIGCHLD)
	for pause := lookSoon; ; {
		b.reap()
		select {
		case <-died:
		case <-look.C:
			if b.ending.Load() && !b.empty.Load() {
				pause = min(2*pause, lookMost)
				look.Reset(pause)
			}
		case <-b.poke:
			if b.ending.Load() {
				signal.Ignore(unix.SIGCHLD)
				pause = lookSoon
				look.Reset(pause)
			}
		case job := <-b.jobs:
			signal.Notify(died, unix.SIGCHLD)
			job()
		case <-b.done:
			return
		}
	}
}

// tell puts a value into a channel of capacity 1, if it is empty.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepUser makes children unable to become another user, whose processes this process could
// not kill.
func (b *subtree) keepUser() {
	b.jobs <- func() { _ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } // a kernel older than 3.5
}

// errBarred: the lease ended before the start could begin.
var errBarred = errors.New("killed before it started")

// prepare prepares a start; from here on there may be something to kill.
func (b *subtree) prepare() error {
	b.barred.Store(false)
	b.ending.Store(false)
	b.kills.Store(0)
	b.walking.Lock() // a walk of before would find what starts now
	b.hunts.Store(0)
	b.walking.Unlock()
	b.starting.Store(true)
	if b.into == nil {
		return nil
	}
	b.into.remove() // Linux 6.14 and later kill what starts in a killed cgroup
	err := b.into.make()
	if err == nil {
		b.intoFile, err = b.into.open()
	}
	return err
}

// started ends what prepare has begun.
func (b *subtree) started() {
	if b.intoFile != nil {
		_ = b.intoFile.Close() // it was open for reading only
		b.intoFile = nil
	}
	b.starting.Store(false)
	tell(b.news)
}

// start starts a child and returns the channel for its status. It returns when the kernel has
// loaded the child, which takes long on a busy machine.
func (b *subtree) start(path string, args []string, attr *syscall.ProcAttr) (pid int, exit <-chan syscall.WaitStatus, err error) {
	done := make(chan struct{})
	b.jobs <- func() {
		defer close(done)
		defer b.started()
		if b.barred.Load() {
			err = errBarred
			return
		}
		if b.intoFile != nil {
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(b.intoFile.Fd())
		}
		pid, exit, err = b.startChild(func() (pid int, err error) {
			asBefore(b.own, func() { pid, err = syscall.ForkExec(path, args, attr) })
			return pid, err
		})
	}
	<-done
	return pid, exit, err
}

// startNow prepares a start and makes it.
func (b *subtree) startNow(path string, args []string, attr *syscall.ProcAttr) (pid int, exit <-chan syscall.WaitStatus, err error) {
	if err := b.prepare(); err != nil {
		b.started()
		return 0, nil, err
	}
	return b.start(path, args, attr)
}

// end prepares the end of all descendants.
func (b *subtree) end() {
	b.ending.Store(true)
	tell(b.poke)
}

// leads reports whether the id of the started process group is certainly not reused. Once SIGCHLD is
// ignored, this process does not see the end of the group's first process, so its id may be reused.
func (b *subtree) leads() bool {
	if !b.led.Load() || !b.ending.Load() {
		return b.led.Load()
	}
	return isChild(int(b.group.Load()))
}

// stop asks all descendants to end, and continues stopped ones.
func (b *subtree) stop() {
	led := b.leads()
	b.end()
	b.signal(led, unix.SIGTERM, unix.SIGCONT)
}

// signal signals all descendants, in one walk.
func (b *subtree) signal(led bool, sigs ...unix.Signal) {
	b.size.Store(int64(signalAll(int(b.group.Load()), led, sigs...)))
}

// hunt kills what is left where no cgroup does. One walk at a time finds all. It may wait for
// what dies (see signalAll), so each call kills the children meanwhile: the first after huntFirst,
// by which a walk is done if nothing dies yet. Where what was started is dead, its own are dying
// or are children already: then the first walk comes later.
func (b *subtree) hunt() {
	hunts, led := b.hunts.Add(1), b.leads()
	due := hunts%huntEvery == 1 && (led || hunts > 1) || !listsChildren() // else only a walk finds the children
	if due && b.walking.TryLock() {
		done := make(chan struct{})
		go func() {
			defer b.walking.Unlock()
			b.signal(led, unix.SIGKILL)
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(huntFirst):
		}
	}
	killChildren()
}

// count counts all descendants, or the processes of the cgroup.
func (b *subtree) count() {
	n, counted := b.cgroup.count()
	if !counted {
		walk(os.Getpid(), func(process) { n++ })
	}
	b.size.Store(int64(n))
}

// kill kills everything at once by the cgroup. Without a cgroup, or if a descendant has left it,
// it kills each process that it finds; the next call finds processes that started meanwhile.
func (b *subtree) kill() {
	b.barred.Store(true)
	b.end()
	if b.cgroup != nil && b.leads() {
		_ = unix.Kill(-int(b.group.Load()), unix.SIGKILL) // quick: it takes no lock that is held for long
	}
	killed := b.cgroup.kill()
	if b.into != nil && b.starting.Load() {
		b.into.remove() // from here on the kernel starts nothing in it
	}
	resetPriorities(b.cgroup.folders())
	if kills := b.kills.Add(1); !killed || kills > reapKills && b.alive.Load() && !b.cgroup.populated() {
		b.hunt()
	}
}

// gone reads starting before empty: a finished start has cleared empty first.
func (b *subtree) gone() bool {
	return !b.starting.Load() && b.empty.Load() && !b.cgroup.populated()
}

func (b *subtree) changed() <-chan struct{} { return b.news }

func (b *subtree) close() {
	close(b.done)
	<-b.ended
}

// codeOf returns the exit code that shells give for a status.
func codeOf(s syscall.WaitStatus) int {
	if s.Signaled() {
		return codeOfSignal + int(s.Signal())
	}
	return s.ExitStatus()
}

// endOf tells people how a process ended.
func endOf(s syscall.WaitStatus) string {
	switch {
	case s == dropped:
		return "status unknown"
	case s.Signaled():
		return s.Signal().String()
	}
	return fmt.Sprintf("exit code %d", s.ExitStatus())
}

// codeOfStart returns the exit code for a command that could not be started.
func codeOfStart(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, syscall.ENOENT) {
		return CodeNotFound
	}
	return CodeNotRunable
}
