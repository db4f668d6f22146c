package boottime

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is the clock's name, for logs and status.
const Name = "CLOCK_BOOTTIME"

// Now gives the time since this machine booted, suspends counted.
func Now() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// Monotonic gives the clock that stands still while the machine sleeps; a
// change of Now()-Monotonic() is a suspend (rule 17).
func Monotonic() time.Duration { return read(unix.CLOCK_MONOTONIC) }

// read asks the kernel without telling Go's scheduler, which need not know of a
// call that cannot block: told, it wakes its monitor thread each time that the
// process was idle, and that costs more than all else an idle agent does.
func read(clock uintptr) time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("boottime: " + errno.Error()) // a kernel older than 2.6.39
	}
	return time.Duration(ts.Nano())
}
