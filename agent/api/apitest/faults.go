package apitest

import (
	"context"
	"errors"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// faults keeps rules as they are given; those that name nobody are wrong.
type faults struct{ a *Agent }

// Faults is nil after RemoveFaults.
func (a *Agent) Faults() api.Faults {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.netem == nil {
		return nil
	}
	return faults{a}
}

func (f faults) Set(rules string, d time.Duration) error {
	if !strings.Contains(rules, ": ") {
		return errors.New("rule " + rules + ": want PEER: FAULT")
	}
	f.show(rules, d)
	return f.a.command(context.Background(), "netem %q for %v", rules, d)
}

func (f faults) Clear() {
	f.show("", 0)
	_ = f.a.command(context.Background(), "netem clear") // clearing cannot fail
}

func (f faults) show(rules string, d time.Duration) {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	f.a.mu.netem = &api.Netem{Rules: rules, Seed: 7}
	if d != 0 {
		left := d.Seconds()
		f.a.mu.netem.ExpiresIn = &left
	}
}

func (f faults) Show() api.Netem {
	f.a.mu.Lock()
	defer f.a.mu.Unlock()
	return *f.a.mu.netem
}
