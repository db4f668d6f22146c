package store

import "golang.org/x/sys/unix"

// syncData has the disk write its own cache too, which fsync does not do on
// this system.
func syncData(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	return err
}
