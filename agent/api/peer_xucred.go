//go:build darwin || freebsd

package api

import "golang.org/x/sys/unix"

// credentials says whether the system tells which user is at the other end.
const credentials = true

func (p *peer) ask(fd int) {
	if u, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
		p.known, p.uid = true, int(u.Uid)
	}
}
