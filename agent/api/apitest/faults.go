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
	if get(a, &a.mu.netem) == nil {
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
	n := &api.Netem{Rules: rules, Seed: 7}
	if d != 0 {
		n.ExpiresIn = new(d.Seconds())
	}
	set(f.a, &f.a.mu.netem, n)
}

func (f faults) Show() api.Netem { return *get(f.a, &f.a.mu.netem) }
