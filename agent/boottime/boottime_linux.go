package boottime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Name is the clock's name, for logs and status.
const Name = "CLOCK_BOOTTIME"

// Now gives the time since this machine booted, suspends counted.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("boottime: " + err.Error()) // a kernel older than 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Monotonic gives the clock that stands still while the machine sleeps; a
// change of Now()-Monotonic() is a suspend (rule 17).
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("boottime: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
