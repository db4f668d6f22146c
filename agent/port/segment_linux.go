package port

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// shortSegments limits both ends of a stream: what the end that dials tells and
// what it takes bind both.
func shortSegments(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, maxSegment)
	})
	return errors.Join(err, set)
}
