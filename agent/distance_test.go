package agent

import (
	"duckduckgoose/agent/api"
	"testing"
	"time"
)

// far starts an agent that others reach after a delay, one way.
func (f *testFlock) far(name, profile, delay string) {
	f.t.Helper()
	f.start(name, joining("10.0.0.1"), expecting(3), func(c *Config) {
		c.Profile = profile
		listen := c.Listen
		c.Listen = func(bind string) (Transport, Faults, error) {
			t, faults, err := listen(bind)
			if err == nil {
				err = faults.Set("out *: delay "+delay, 0)
			}
			return t, faults, err
		}
	})
}

// Rule 21: a candidate waits long enough although it does not know the distances.
func TestFarAgentsElectAGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := []string{"a", "b", "c"}
		goose := func() bool { return f.goose() != "" }
		for _, name := range names {
			f.far(name, "wan", "60ms")
		}
		f.until(8*time.Second, "a goose after the founding", goose)
		f.settle(3)
		for _, name := range names {
			f.cutPower(name, 0, 0)
		}
		for _, name := range names {
			f.far(name, "wan", "60ms")
		}
		f.until(10*time.Second, "a goose after a power cut of all", goose)
		f.settle(3)
		f.crash(f.goose())
		f.until(4*time.Second, "a goose after the death of one", goose)
	})
}

// Two agents warn if their lease ends before an answer can come.
func TestAgentsThatAreTooFarApartSaySo(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		for _, name := range []string{"a", "b", "c"} {
			f.far(name, "lan", "300ms")
		}
		f.warns(time.Minute, "a", "a round trip to b takes 500ms or more, longer than a lease of 500ms")
		reason(t, f.why("a"), api.WhyTooFar)
	})
}
