//go:build unix

package checkup

import "golang.org/x/sys/unix"

// openFiles is how many files this process may open; 0: unknown.
func openFiles() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) // FreeBSD's is signed
}
