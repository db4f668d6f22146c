package run

import (
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A killed process ends itself: it needs processor time in the kernel. At a low priority
// (nice(1), SCHED_IDLE) on a busy machine that can take longer than a lease. So killed
// processes get the usual priority, where this process may set it.

// resetPriorities gives all threads of cgroups, of version 1 or 2, the usual priority.
func resetPriorities(dirs []string) {
	for _, dir := range dirs {
		text, ok := readProc(filepath.Join(dir, "cgroup.threads"))
		if !ok {
			text, _ = readProc(filepath.Join(dir, "tasks")) // version 1
		}
		if !resetThreads(strings.Fields(text)) {
			return
		}
	}
}

// resetPriority gives all threads of a process the usual priority.
func resetPriority(p process) {
	threads := []string{strconv.Itoa(p.pid)}
	if p.threads != 1 {
		tasks, _ := filepath.Glob("/proc/" + threads[0] + "/task/*") // it has no error but a bad pattern
		for i := range tasks {
			tasks[i] = filepath.Base(tasks[i])
		}
		threads = tasks
	}
	resetThreads(threads)
}

// resetThreads gives threads the usual priority; false: this process may not.
func resetThreads(threads []string) bool {
	for _, text := range threads {
		thread, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		attr, err := unix.SchedGetAttr(thread, 0)
		if err != nil || attr.Policy != unix.SCHED_IDLE && (attr.Nice <= 0 || attr.Policy != unix.SCHED_NORMAL && attr.Policy != unix.SCHED_BATCH) {
			continue // gone, or high enough
		}
		if err := unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0); err != nil && err != unix.ESRCH {
			return false
		}
	}
	return true
}

// The cgroup of a container or unit may have a small share of the processors, or a quota. Killed
// processes in it could then take longer than a lease to end. So a kill gives the cgroup the
// usual share and no quota. At the next start its manager makes a new cgroup, with its settings.
var (
	usualShares = map[string]int{"cpu.weight": 100, "cpu.shares": 1024}                          // of version 2, and 1
	noLimits    = map[string]string{"cpu.idle": "0", "cpu.max": "max", "cpu.cfs_quota_us": "-1"} // cpu.idle leaves no share
)

// hasShare reports whether a cgroup has a share of the processors.
func hasShare(dir string) bool {
	for name := range usualShares {
		if unix.Access(filepath.Join(dir, name), unix.F_OK) == nil {
			return true
		}
	}
	return false
}

// raiseShares gives cgroups at least the usual share of the processors.
func raiseShares(dirs []string) {
	for _, dir := range dirs {
		for name, none := range noLimits {
			writeLimit(filepath.Join(dir, name), none)
		}
		for name, usual := range usualShares {
			path := filepath.Join(dir, name)
			text, _ := readProc(path)
			if share, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && share < usual {
				writeLimit(path, strconv.Itoa(usual))
			}
		}
	}
}

// writeLimit writes a file of a cgroup, if the file exists and this process may.
func writeLimit(path, text string) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(text)) // refused
	_ = unix.Close(fd)
}
