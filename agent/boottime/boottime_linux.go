package boottime

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is the clock's name, for logs and status.
const Name = "CLOCK_BOOTTIME"

// Now returns the time since this machine booted, suspends counted.
//
// It makes the system call without Go's scheduler, because the call cannot block.
// Otherwise the scheduler would wake its monitor thread after each pause, which costs
// more than everything else that an idle agent does.
func Now() time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("boottime: " + errno.Error()) // a kernel older than 2.6.39
	}
	return time.Duration(ts.Nano())
}

// start is Go's time at startAt or a moment later, so that Monotonic is never ahead.
var (
	startAt = Now()
	start   = time.Now()
)

// Monotonic returns the clock that stops while the machine sleeps: when Now()-Monotonic()
// grows, the machine has slept (rule 17). Go reads it without a system call.
func Monotonic() time.Duration { return startAt + time.Since(start) }
