package netem

import "time"

// million is the unit of clock rates: parts per million of true time.
const million = 1_000_000

// Clock is the two clocks of a machine as functions of true time, which no agent
// can read. The boot clock runs while the machine sleeps, the monotonic clock
// does not.
type Clock struct {
	from  time.Duration // true time at which the boot clock read boot
	boot  time.Duration
	PPM   int64         // how much faster than true time it runs, in parts per million
	Slept time.Duration // how far the monotonic clock is behind
}

// Now returns the boot clock's reading.
func (c *Clock) Now(t time.Duration) time.Duration {
	e := int64(t - c.from)
	return c.boot + time.Duration(e+e/million*c.PPM+e%million*c.PPM/million)
}

// At returns the first moment at which the boot clock reads l or more. t is any
// moment near it.
func (c *Clock) At(t, l time.Duration) time.Duration {
	for range 12 { // each round leaves a hundredth of the error, or less
		t += l - c.Now(t)
	}
	for c.Now(t) < l {
		t++
	}
	for c.Now(t-1) >= l {
		t--
	}
	return t
}

// SetRate changes the rate from t on.
func (c *Clock) SetRate(t time.Duration, ppm int64) { c.from, c.boot, c.PPM = t, c.Now(t), ppm }

// Reboot starts both clocks again.
func (c *Clock) Reboot(t, boot time.Duration) { c.from, c.boot, c.Slept = t, boot, 0 }
