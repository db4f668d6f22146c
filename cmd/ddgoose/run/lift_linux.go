package run

import (
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A killed process ends by its own work in the kernel. At a low priority (nice(1),
// SCHED_IDLE) that waits for all others on a busy machine, for longer than a lease. So
// what was killed gets the usual priority, where this process may give it.

// liftFolders lifts all threads of cgroups, of version 1 or 2.
func liftFolders(dirs []string) {
	for _, dir := range dirs {
		text, ok := readProc(filepath.Join(dir, "cgroup.threads"))
		if !ok {
			text, _ = readProc(filepath.Join(dir, "tasks")) // version 1
		}
		if !liftAll(strings.Fields(text)) {
			return
		}
	}
}

// liftProcess lifts all threads of a process.
func liftProcess(p process) {
	threads := []string{strconv.Itoa(p.pid)}
	if p.threads != 1 {
		tasks, _ := filepath.Glob("/proc/" + threads[0] + "/task/*") // it has no error but a bad pattern
		for i := range tasks {
			tasks[i] = filepath.Base(tasks[i])
		}
		threads = tasks
	}
	liftAll(threads)
}

// liftAll lifts threads; false: this process may not.
func liftAll(threads []string) bool {
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
