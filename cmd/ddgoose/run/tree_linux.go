package run

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is a descendant as it was last seen.
type process struct {
	pid, parent, group int
}

// descendants lists what lives below self, parents before their children, so
// that who forks is killed before what it forked. What is born meanwhile may be
// missed: call again.
func descendants(self int) []process {
	children := childrenByTask
	if _, err := os.Stat("/proc/thread-self/children"); err != nil {
		children = childrenByScan() // a kernel without CONFIG_PROC_CHILDREN
	}
	var found []process
	seen := map[int]bool{self: true}
	for next := []int{self}; len(next) > 0; next = next[1:] {
		for _, pid := range children(next[0]) {
			if seen[pid] {
				continue
			}
			seen[pid] = true
			next = append(next, pid)
			if p, ok := look(pid); ok {
				found = append(found, p)
			}
		}
	}
	return found
}

// childrenByTask asks the kernel for the children of each thread.
func childrenByTask(pid int) (children []int) {
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		return nil
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// childrenByScan reads all of /proc once.
func childrenByScan() func(pid int) []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return func(int) []int { return nil }
	}
	byParent := map[int][]int{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, ok := look(pid); ok {
			byParent[p.parent] = append(byParent[p.parent], pid)
		}
	}
	return func(pid int) []int { return byParent[pid] }
}

// look reads who a process is; false: it is gone.
func look(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The name in parentheses may hold anything: the fields begin after the last one.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 3 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	return process{pid: pid, parent: parent, group: group}, errors.Join(err1, err2) == nil
}

// signalAll signals everything below this process, each once. Groups that were
// made down there, and the one started, go first and as a whole: what forks in
// a group cannot get away.
func signalAll(sig unix.Signal, started int) {
	self := os.Getpid()
	found := descendants(self)
	reached := map[int]bool{}
	for _, p := range found {
		leads := p.group == p.pid || p.group == started ||
			slices.ContainsFunc(found, func(q process) bool { return q.pid == p.group })
		if leads && !reached[p.group] {
			reached[p.group] = true
			_ = unix.Kill(-p.group, sig) // it may have ended by itself
		}
	}
	for _, p := range found {
		if !reached[p.group] {
			signalOne(p, self, sig)
		}
	}
}

// signalOne signals a process unless its number has passed to another one.
func signalOne(p process, self int, sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		_ = unix.Kill(p.pid, sig) // an old kernel
		return
	}
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	if now, ok := look(p.pid); ok && (now.parent == p.parent || now.parent == self) {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0) // gone, or another user's: seen by who waits
	}
}
