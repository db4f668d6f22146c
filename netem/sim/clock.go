package sim

import "time"

// million is the unit of clock rates: parts per million of true time.
const million = 1_000_000

// clock is a machine's two clocks as functions of true time, which nobody in a
// flock knows. The boot clock counts while the machine sleeps, the monotonic
// one does not.
type clock struct {
	from  time.Duration // true time at which the boot clock read boot
	boot  time.Duration
	ppm   int64         // how much faster than true time it runs
	slept time.Duration // how far the monotonic clock is behind
}

// now gives the boot clock's reading.
func (c *clock) now(t time.Duration) time.Duration {
	e := int64(t - c.from)
	return c.boot + time.Duration(e+e/million*c.ppm+e%million*c.ppm/million)
}

// at gives the first moment at which the boot clock reads l or more. t is any
// moment near it.
func (c *clock) at(t, l time.Duration) time.Duration {
	for range 12 { // each round leaves a hundredth of the error, or less
		t += l - c.now(t)
	}
	for c.now(t) < l {
		t++
	}
	for c.now(t-1) >= l {
		t--
	}
	return t
}

// setRate changes the rate from t on.
func (c *clock) setRate(t time.Duration, ppm int64) { c.from, c.boot, c.ppm = t, c.now(t), ppm }

// reboot starts both clocks anew.
func (c *clock) reboot(t, boot time.Duration) { c.from, c.boot, c.slept = t, boot, 0 }
