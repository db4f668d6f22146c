// Package nofollow opens plain files only: no symbolic or hard links, which can lead
// to somebody else's file, and no pipes or devices, which can block.
package nofollow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLink says that a path is a link, or no plain file.
var ErrLink = errors.New("it is a link, or no plain file: name the file itself, by its one name")

// OpenFile is os.OpenFile for a plain file with one name. With os.O_TRUNC it makes
// a new file, because the old one may be a link to somebody else's.
func OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&os.O_TRUNC != 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		flag = flag&^os.O_TRUNC | os.O_EXCL
	}
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) { // EMLINK: FreeBSD
		return nil, linkError(name)
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(fmt.Errorf("look at %s: %w", name, err), f.Close())
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 {
		return nil, errors.Join(linkError(name), f.Close())
	}
	return f, nil
}

func linkError(name string) error { return &fs.PathError{Op: "open", Path: name, Err: ErrLink} }
