package main

import (
	"runtime/debug"
	"time"
)

// startLasts is when an agent is done with what only its start needs. It waits up to as long
// again: to leave it costs milliseconds of CPU, and hundreds may have started together.
const startLasts = 10 * time.Second

// leaveStart gives back the memory that only the start needed.
func leaveStart() {
	debug.FreeOSMemory()
	dropStartPages()
}
