//go:build darwin || freebsd

package api

import (
	"net"

	"golang.org/x/sys/unix"
)

// credentials says whether the system tells which user is at the other end.
const credentials = true

func peerOf(c *net.UnixConn) peer {
	p := peer{conn: c, uid: -1}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	_ = raw.Control(func(fd uintptr) { // fails only for a closed connection: not known
		if u, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
			p.known, p.uid = true, int(u.Uid)
		}
	})
	return p
}
