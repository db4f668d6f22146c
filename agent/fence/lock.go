package fence

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errHeld = errors.New("another one holds the lock")

func tryLock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return errHeld
		default:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}
