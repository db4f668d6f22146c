package agent

import (
	"testing"
	"time"
)

// far gives an agent the profile for long distances, and a network of 120 ms there and back.
func (f *testFlock) far(name string) {
	f.t.Helper()
	f.start(name, joining("10.0.0.1"), expecting(3), func(c *Config) {
		c.Profile = "wan"
		listen := c.Listen
		c.Listen = func(bind string) (Transport, Faults, error) {
			t, faults, err := listen(bind)
			if err == nil {
				err = faults.Set("out *: delay 60ms", 0)
			}
			return t, faults, err
		}
	})
}

// Rule 21: a candidate that does not know how far the others are waits long enough.
func TestFarAgentsElectAGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := []string{"a", "b", "c"}
		goose := func() bool { return f.goose() != "" }
		for _, name := range names {
			f.far(name)
		}
		f.until(8*time.Second, "a goose after the founding", goose)
		f.settle(3)
		for _, name := range names {
			f.cutPower(name, 0, 0)
		}
		for _, name := range names {
			f.far(name)
		}
		f.until(10*time.Second, "a goose after a power cut of all", goose)
		f.settle(3)
		f.crash(f.goose())
		f.until(4*time.Second, "a goose after the death of one", goose)
	})
}
