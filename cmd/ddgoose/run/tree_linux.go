package run

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is a descendant as it was last seen.
type process struct {
	pid, parent, group, threads int
	dead                        bool // but not reaped
}

// walk visits what lives below self, parents before their children, so that who
// forks is killed before what it forked. The children are listed before the
// visit: what is killed loses them. What is born meanwhile may be missed: call again.
func walk(self int, visit func(process)) {
	children := childrenByTask
	if _, err := os.Stat("/proc/thread-self/children"); err != nil {
		children = childrenByScan() // a kernel without CONFIG_PROC_CHILDREN
	}
	ours := map[int]bool{self: true}
	me, _ := look(self)
	for next := children(me); len(next) > 0; next = next[1:] {
		p, ok := look(next[0])
		if !ok || ours[p.pid] || !ours[p.parent] { // gone, and its number may have passed to another one
			continue
		}
		ours[p.pid] = true
		next = append(next, children(p)...)
		visit(p)
	}
}

// childrenByTask asks the kernel for the children of each thread.
func childrenByTask(p process) (children []int) {
	dir := "/proc/" + strconv.Itoa(p.pid) + "/task/"
	lists := []string{dir + strconv.Itoa(p.pid) + "/children"}
	if p.threads != 1 {
		var err error
		if lists, err = filepath.Glob(dir + "*/children"); err != nil {
			return nil
		}
	}
	for _, list := range lists {
		text, ok := readProc(list)
		if !ok {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(text) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// readProc reads a file of /proc with as few system calls as it can be: killing a
// thousand processes must take moments. false: what it tells of is gone.
func readProc(path string) (string, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return string(text), err == nil
		}
		text = append(text, buf[:n]...)
	}
}

// childrenByScan reads all of /proc once.
func childrenByScan() func(process) []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return func(process) []int { return nil }
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
	return func(p process) []int { return byParent[p.pid] }
}

// look reads who a process is; false: it is gone.
func look(pid int) (process, bool) {
	text, ok := readProc("/proc/" + strconv.Itoa(pid) + "/stat")
	if !ok {
		return process{}, false
	}
	// The name in parentheses may hold anything: the fields begin after the last one.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 18 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	threads, err3 := strconv.Atoi(fields[17])
	dead := fields[0] == "Z" && threads <= 1 // others of its threads may end later
	return process{pid, parent, group, threads, dead}, errors.Join(err1, err2, err3) == nil
}

// signalAll sends signals to everything below this process, each once, and tells how much
// it found. Groups that were made down there, and the one started, go as a whole: what
// forks in a group cannot get away. led: the group's first process has not been
// reaped, so its number is still its own.
func signalAll(started int, led bool, sigs ...unix.Signal) (found int) {
	reached := map[int]bool{}
	group := func(g int) {
		for _, sig := range sigs {
			reached[g] = unix.Kill(-g, sig) == nil // else it has ended by itself
		}
	}
	if led {
		group(started) // at once: finding the others takes a while
	}
	self := os.Getpid()
	walk(self, func(p process) {
		if p.dead {
			return
		}
		found++
		if !reached[p.group] && (p.group == p.pid || p.group == started) {
			group(p.group)
		}
		if !reached[p.group] {
			signalOne(p, self, sigs)
		}
		if sigs[0] == unix.SIGKILL {
			liftProcess(p)
		}
	})
	return found
}

// signalOne signals a process unless its number has passed to another one.
func signalOne(p process, self int, sigs []unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) { // an old kernel
		for _, sig := range sigs {
			_ = unix.Kill(p.pid, sig)
		}
		return
	}
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	if now, ok := look(p.pid); ok && (now.parent == p.parent || now.parent == self) {
		for _, sig := range sigs {
			_ = unix.PidfdSendSignal(fd, sig, nil, 0) // gone, or another user's: seen by who waits
		}
	}
}
