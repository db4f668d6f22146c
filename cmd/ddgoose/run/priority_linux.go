package run

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// favoured is the priority of run and guard. Killed processes do not get it: an ending thread
// waits in a busy loop for any process that reads its files in /proc, and that process needs a
// processor, too. A thousand such threads blocked two processors for seconds.
var favoured = unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20}

// raisePriority gives all threads of this process a higher priority than the other programs', if it
// may. New threads inherit that; processes that the thread starter starts do not.
func raisePriority(starter int) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil || own.Policy == unix.SCHED_FIFO || own.Policy == unix.SCHED_RR || own.Policy == unix.SCHED_DEADLINE {
		return // a person has set the priority
	}
	if starter != 0 {
		attr := favoured
		attr.Flags |= unix.SCHED_FLAG_RESET_ON_FORK
		_ = unix.SchedSetAttr(starter, &attr, 0) // not permitted
	}
	if raise(starter) {
		go raiseRest(starter, func() { time.Sleep(time.Second) })
	}
	raiseSession()
	lockMemory()
}

// raiseRest raises, after a pause each, threads that raise cannot have seen: the kernel gives a thread
// its starter's priority some time before it lists it, and other processes that change cgroups can make
// that milliseconds.
func raiseRest(starter int, pause func()) {
	for more := true; more; more = raise(starter) {
		pause()
	}
}

// raiseSession raises this process's session among all sessions: Linux may share the
// processors among sessions first. It leaves a session alone that another process leads.
func raiseSession() {
	if leader, err := unix.Getsid(0); err == nil && leader == os.Getpid() {
		_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(int(favoured.Nice))), 0) // not permitted, or the kernel has no such file
	}
}

// raise gives all threads of this process but the starter the favoured priority, if it may. It reports
// whether a thread had another one.
func raise(starter int) (raised bool) {
	seen := map[string]bool{}
	for more := true; more; { // a thread may start others that are not listed yet
		more = false
		tasks, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			return raised
		}
		for _, task := range tasks {
			thread, err := strconv.Atoi(filepath.Base(task))
			if err != nil || thread == starter || seen[task] {
				continue
			}
			seen[task], more = true, true
			if is, err := unix.SchedGetAttr(thread, 0); err != nil || is.Policy == favoured.Policy && is.Nice == favoured.Nice {
				continue
			}
			attr := favoured
			switch err := unix.SchedSetAttr(thread, &attr, 0); err {
			case nil:
				raised = true
			case unix.ESRCH: // it has ended
			default:
				return raised // not permitted
			}
		}
	}
	return raised
}

// asBefore calls start with the priority that this thread had before raisePriority, if the kernel's
// reset would give CMD another one: CMD keeps the priority of nice(1).
func asBefore(own *unix.SchedAttr, start func()) {
	if own != nil && (own.Policy != unix.SCHED_NORMAL || own.Nice != 0) {
		if now, err := unix.SchedGetAttr(0, 0); err == nil {
			_ = unix.SchedSetAttr(0, own, 0)   // lowering is always permitted
			defer unix.SchedSetAttr(0, now, 0) // this thread had it, so it may
		}
	}
	start()
}

// lockMemory keeps all memory that this process has used in RAM. Without MCL_ONFAULT it
// would also load everything that Go's runtime has reserved.
func lockMemory() {
	var limit unix.Rlimit
	if os.Geteuid() != 0 && (unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil || limit.Cur != unix.RLIM_INFINITY) {
		return // memory beyond the limit would be refused later
	}
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT) // if it fails, this process may wait for its pages
}
