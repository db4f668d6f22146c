//go:build !linux

package boottime

import "time"

// Name is the clock's name, for logs and status. On systems other than Linux
// Go offers no clock that counts sleep, so a lease may outlive a suspend: the
// agent says so at start.
const Name = "monotonic (stands still while the machine sleeps)"

var start = time.Now()

// Now returns the time since an arbitrary moment, suspends not counted.
func Now() time.Duration { return time.Since(start) }

// Monotonic is Now here.
func Monotonic() time.Duration { return Now() }
