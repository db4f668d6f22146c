package port

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// shortSegments keeps a stream's packets within the 1,280 bytes that every path
// carries: some paths lose larger ones without a word (a tunnel, and a firewall
// that drops ICMP), and the stream would hang while all datagrams pass.
func shortSegments(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, maxSegment)
	})
	return errors.Join(err, set)
}
