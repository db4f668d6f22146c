package main

import (
	"runtime"
	"runtime/debug"
	"time"
)

// startLasts is when an agent is done with what only its start needs. It waits up to as long
// again: to leave it costs milliseconds of CPU, and hundreds may have started together.
const startLasts = 10 * time.Second

// leaveStart gives back the memory that only the start needed. ownGC: the user has chosen
// when garbage is collected.
func leaveStart(ownGC bool) {
	debug.FreeOSMemory()
	if !ownGC {
		new(collections).begin()
	}
	dropStartPages()
}

const (
	// calmGC and usualGC are values of GOGC, the second one Go's default. With them Go lets
	// even a small heap grow to 2 MB and 4 MB.
	calmGC, usualGC = 50, 100
	// calmAfter is how long a calm agent takes, at least, to fill its heap.
	calmAfter = 10 * time.Second
)

// collections keeps the heap small while an agent is calm. One that answers many requests
// fills a small heap so often that each would cost a third more CPU.
type collections struct {
	last    time.Time
	percent int
}

func (c *collections) begin() {
	c.last, c.percent = time.Now(), calmGC
	debug.SetGCPercent(c.percent)
	c.awaitNext()
}

// awaitNext needs no timer, which would wake an idle agent: Go runs the cleanup after the
// next collection.
func (c *collections) awaitNext() {
	runtime.AddCleanup(new([2]*byte), func(c *collections) {
		if c.happened(time.Now()) {
			debug.SetGCPercent(c.percent)
		}
		c.awaitNext()
	}, c)
}

// happened takes note of a collection, and reports whether the percentage is another one.
func (c *collections) happened(now time.Time) (changed bool) {
	was := c.percent
	c.percent = usualGC
	if now.Sub(c.last) >= calmAfter {
		c.percent = calmGC
	}
	c.last = now
	return c.percent != was
}
