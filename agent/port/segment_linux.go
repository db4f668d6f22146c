package port

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// shortSegments limits the segments of both ends of a stream: the limit that the dialing
// end announces also binds the other.
func shortSegments(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, maxSegment)
	})
	return errors.Join(err, set)
}
