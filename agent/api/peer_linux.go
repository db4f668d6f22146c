package api

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// credentials says whether the system tells which user is at the other end.
const credentials = true

func (p *peer) ask(fd int) {
	if u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
		p.known, p.pid, p.uid = true, int(u.Pid), int(u.Uid)
	}
}

// watch waits for the end of the process that made the connection. A closed connection
// proves nothing: the process may have closed it, or passed it on.
func (p peer) watch() *process {
	w := &process{gone: make(chan struct{}), ended: make(chan struct{})}
	fd, err := p.pidfd()
	if errors.Is(err, unix.ESRCH) {
		close(w.gone)
		return w
	}
	if err != nil || unix.SetNonblock(fd, true) != nil {
		return w // an old kernel: only a deadline tells
	}
	w.file = os.NewFile(uintptr(fd), "pidfd")
	go func() {
		defer close(w.ended)
		raw, err := w.file.SyscallConn()
		if err != nil {
			return
		}
		err = raw.Read(func(fd uintptr) bool {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(fds, 0)
			return n > 0 && err == nil // false: the runtime waits and calls again
		})
		if err == nil {
			close(w.gone)
		}
	}()
	return w
}

// pidfd opens a handle of the process itself. SO_PEERPIDFD (Linux 6.5) cannot confuse it
// with a later process of the same number.
func (p peer) pidfd() (int, error) {
	if p.conn == nil {
		return 0, unix.ENOTSUP
	}
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var opened error
	if err := raw.Control(func(s uintptr) {
		fd, opened = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	}); err != nil {
		return 0, err
	}
	if opened == nil || errors.Is(opened, unix.ESRCH) {
		return fd, opened
	}
	if p.pid <= 0 {
		return 0, opened // of another pid namespace
	}
	return unix.PidfdOpen(p.pid, 0)
}
