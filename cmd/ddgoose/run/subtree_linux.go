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

// subtree is all descendants of this process, which takes in those that lose
// their parent. One goroutine, bound to one thread for good, starts them: the
// kernel's parent-death signal watches the thread that forked.
type subtree struct {
	*reaper
	thread int             // of that goroutine
	own    *unix.SchedAttr // its priority at first; nil: not known

	jobs  chan func()
	poke  chan struct{} // capacity 1: reap
	done  chan struct{} // closed by close
	ended chan struct{}

	cgroup *cgroup  // of all descendants; nil: none
	into   *cgroup  // where children start: that one, or one below it
	door   *os.File // to into, for the next start

	size atomic.Int64 // descendants when last counted

	kills    atomic.Int32 // since the last start
	hunts    atomic.Int32 // since the last start: kills of what no cgroup ends
	walking  sync.Mutex   // a walk that kills is under way
	starting atomic.Bool  // a start has not been done or refused
	barred   atomic.Bool  // kill was called since the last start: no start may follow it
	ending   atomic.Bool  // stop or kill was: no status counts any more
}

// Once all must end, SIGCHLD is ignored, so the kernel drops each dead process in that one's own
// time. wait4(2) does it in this process's time, at the highest priority, and in a busy loop while
// anybody else looks at what is dead: with a thousand dead, both processors were lost to the dying,
// the looker and the agent for five seconds.
const (
	// lookSoon is when to look then whether a child is left, after each kill. The pauses double.
	lookSoon = 2 * time.Millisecond
	lookMost = 20 * time.Millisecond
)

const (
	// huntFirst is how long a walk may keep the children from being killed.
	huntFirst = 10 * time.Millisecond
	// huntEvery is how many hunts pass from one walk to the next.
	huntEvery = 8
)

// reapKills is how many kills by the cgroup pass before what has left it is looked for: when the
// cgroup is empty and a child lives. A look at the dead in /proc delays their end.
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

// tell fills a channel of capacity 1.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepUser starts children that cannot become another user's, whom this process
// could not kill.
func (b *subtree) keepUser() {
	b.jobs <- func() { _ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } // a kernel older than 3.5
}

// errBarred: the lease ran out before the machine came to start anything.
var errBarred = errors.New("killed before it started")

// prepare makes a start possible; from here on something may be left.
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
	b.into.remove() // Linux 6.14 and later kill what starts in a cgroup that was killed before
	err := b.into.make()
	if err == nil {
		b.door, err = b.into.open()
	}
	return err
}

// started ends what prepare began.
func (b *subtree) started() {
	if b.door != nil {
		_ = b.door.Close() // only for reading
		b.door = nil
	}
	b.starting.Store(false)
	tell(b.news)
}

// start starts a child and gives the channel on which its status will come. It
// returns when the kernel has loaded the child, which a starved machine delays.
func (b *subtree) start(path string, args []string, attr *syscall.ProcAttr) (pid int, exit <-chan syscall.WaitStatus, err error) {
	done := make(chan struct{})
	b.jobs <- func() {
		defer close(done)
		defer b.started()
		if b.barred.Load() {
			err = errBarred
			return
		}
		if b.door != nil {
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(b.door.Fd())
		}
		pid, exit, err = b.bear(func() (pid int, err error) {
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

// end prepares for the end of all that is left.
func (b *subtree) end() {
	b.ending.Store(true)
	tell(b.poke)
}

// leads tells whether the number of the group that was started is still its own. Once SIGCHLD is
// ignored, the first process's end is not seen, and its number may pass to another one.
func (b *subtree) leads() bool {
	if !b.led.Load() || !b.ending.Load() {
		return b.led.Load()
	}
	return isChild(int(b.group.Load()))
}

// stop asks all that is left to end, what is stopped too.
func (b *subtree) stop() {
	led := b.leads()
	b.end()
	b.signal(led, unix.SIGTERM, unix.SIGCONT)
}

// signal signals all that is left, in one walk.
func (b *subtree) signal(led bool, sigs ...unix.Signal) {
	b.size.Store(int64(signalAll(int(b.group.Load()), led, sigs...)))
}

// hunt kills what is left where no cgroup does. One walk at a time finds all. It may wait for
// what dies (see signalAll), so each call kills the children meanwhile: the first after huntFirst,
// by which a walk is done if nothing dies yet. Where what was started is dead, its own are dying
// or are children already: then the first walk comes later.
func (b *subtree) hunt() {
	hunts, led := b.hunts.Add(1), b.leads()
	if hunts%huntEvery == 1 && (led || hunts > 1) && b.walking.TryLock() {
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

// count counts all descendants, or what is in the cgroup.
func (b *subtree) count() {
	n, counted := b.cgroup.count()
	if !counted {
		walk(os.Getpid(), func(process) { n++ })
	}
	b.size.Store(int64(n))
}

// kill kills all at once by the cgroup. Without one, and when something has left
// it, it kills what it finds; what is born meanwhile the next call finds.
func (b *subtree) kill() {
	b.barred.Store(true)
	b.end()
	if b.cgroup != nil && b.leads() {
		_ = unix.Kill(-int(b.group.Load()), unix.SIGKILL) // takes no lock that others hold for long
	}
	killed := b.cgroup.kill()
	if b.into != nil && b.starting.Load() {
		b.into.remove() // the kernel starts nothing in it from here on
	}
	liftFolders(b.cgroup.folders())
	if kills := b.kills.Add(1); !killed || kills > reapKills && b.alive.Load() && !b.cgroup.populated() {
		b.hunt()
	}
}

// gone reads empty after starting: a start that is done has cleared it before.
func (b *subtree) gone() bool {
	return !b.starting.Load() && b.empty.Load() && !b.cgroup.populated()
}

func (b *subtree) changed() <-chan struct{} { return b.news }

func (b *subtree) close() {
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
