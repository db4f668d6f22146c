package run

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// favoured is the priority of run and guard. What they killed has it not: a thread that
// ends waits in a busy loop for whoever looks at it in /proc, who needs a processor,
// too, and a thousand such threads kept all others from two processors for seconds.
var favoured = unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20}

// hasten raises all threads of this process above the load of the machine, as far
// as it may. New threads inherit that; what the thread starter starts does not.
func hasten(starter int) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil || own.Policy == unix.SCHED_FIFO || own.Policy == unix.SCHED_RR || own.Policy == unix.SCHED_DEADLINE {
		return // a person has chosen
	}
	raise(starter)
	raiseSession()
	lockMemory()
}

// raiseSession does for this process's session what raise does within it: Linux may share
// processors out among sessions first, and knows no priorities between them but this. A
// session that others lead is left alone.
func raiseSession() {
	if leader, err := unix.Getsid(0); err == nil && leader == os.Getpid() {
		_ = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(int(favoured.Nice))), 0) // it may not, or the kernel has none
	}
}

// raise favours all threads of this process, if it may.
func raise(starter int) {
	raised := map[string]bool{}
	for more := true; more; { // a thread may start others that are not listed yet
		more = false
		tasks, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			return
		}
		for _, task := range tasks {
			thread, err := strconv.Atoi(filepath.Base(task))
			if err != nil || raised[task] {
				continue
			}
			raised[task], more = true, true
			attr := favoured
			if thread == starter {
				attr.Flags |= unix.SCHED_FLAG_RESET_ON_FORK
			}
			if err := unix.SchedSetAttr(thread, &attr, 0); err != nil && err != unix.ESRCH {
				return
			}
		}
	}
}

// asBefore calls start with the priority that this thread had before hasten, when
// a reset would give a new process another one: nice(1) holds for CMD.
func asBefore(own *unix.SchedAttr, start func()) {
	if own != nil && (own.Policy != unix.SCHED_NORMAL || own.Nice != 0) {
		if now, err := unix.SchedGetAttr(0, 0); err == nil {
			_ = unix.SchedSetAttr(0, own, 0)   // it may always give priority up
			defer unix.SchedSetAttr(0, now, 0) // and was allowed to have this one
		}
	}
	start()
}

// lockMemory keeps what this process has touched in memory. Without MCL_ONFAULT
// it would take in all that Go's runtime has reserved.
func lockMemory() {
	var limit unix.Rlimit
	if os.Geteuid() != 0 && (unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil || limit.Cur != unix.RLIM_INFINITY) {
		return // memory that is beyond the limit later would be refused
	}
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT) // else it waits for its pages like others
}
