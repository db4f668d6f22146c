package boottime

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is the clock's name, for logs and status.
const Name = "CLOCK_BOOTTIME"

// Now gives the time since this machine booted, suspends counted.
//
// It asks the kernel without telling Go's scheduler, which need not know of a
// call that cannot block: told, it wakes its monitor thread each time that the
// process was idle, and that costs more than all else an idle agent does.
func Now() time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("boottime: " + errno.Error()) // a kernel older than 2.6.39
	}
	return time.Duration(ts.Nano())
}

// start is Go's time at startAt or a moment later, for Monotonic never to be ahead.
var (
	startAt = Now()
	start   = time.Now()
)

// Monotonic gives the clock that stands still while the machine sleeps; a
// change of Now()-Monotonic() is a suspend (rule 17). Go reads it
// without a system call.
func Monotonic() time.Duration { return startAt + time.Since(start) }
