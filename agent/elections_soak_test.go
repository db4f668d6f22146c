package agent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestVirtualSoakOfFlags injects faults into agents that contest other elections at
// each start, some of which the flock does not have yet. In the end each contested
// election has a goose, and the voters of all elections are the same.
func TestVirtualSoakOfFlags(t *testing.T) {
	for seed := *soakSeed; seed < *soakSeed+*soakSeeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				s := newSoak(f, seed, 1)
				s.contests = map[string][]string{}
				s.run(long(*soakFor) / 2) // each of its strikes takes longer to heal
				t.Logf("struck %v, %d goose periods, %d works; again with: go test ./agent -run VirtualSoakOfFlags -soak.seed %d -soak.for %v",
					s.struck, s.periods(), s.begun(), seed, *soakFor)
			})
		})
	}
}

// drawn returns what an agent contests from now on.
func (s *soak) drawn(name string) (names []string) {
	for i := range 6 {
		if s.dice.IntN(3) == 0 {
			names = append(names, fmt.Sprintf("job-%d", i))
		}
	}
	s.contests[name] = names
	return names
}

// led requires, for each contested election, a goose that contests it.
func (s *soak) led() {
	s.f.t.Helper()
	for i := range 6 {
		name := fmt.Sprintf("job-%d", i)
		if !slices.ContainsFunc(s.f.live(), func(a string) bool { return slices.Contains(s.contests[a], name) }) {
			continue
		}
		s.f.until(3*time.Minute, "a goose of "+name, func() bool {
			s.judge()
			goose := s.f.gooseOf(name)
			return goose != "" && slices.Contains(s.contests[goose], name) && s.f.votersOf(goose, name) == soakAgents
		})
	}
}

// A recovery runs while lost agents come back one by one with their old elections:
// there are never two geese at one moment, and tokens only grow.
func TestRecoveriesOfElections(t *testing.T) {
	for seed := range long(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				dice := rand.New(rand.NewPCG(uint64(seed), 2))
				pause := func(most time.Duration) { f.sleep(time.Duration(dice.Int64N(int64(most)))) }
				names := []string{"x", "y"}
				f.foundWith(5, names...)
				pause(10 * time.Second)
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					f.crash(name)
				}
				for _, name := range []string{"a", "b"} {
					if _, err := f.recover(name, "a", "b"); err != nil {
						t.Fatal(err)
					}
				}
				for _, i := range dice.Perm(5) {
					f.start(nth(i), joining("10.0.0.1", "10.0.0.2"), contesting(names[:1+dice.IntN(2)]...))
					pause(4 * time.Second)
				}
				f.until(2*time.Minute, "all follow", func() bool {
					for _, a := range f.live() {
						if f.agents[a].Status().Generation != 1 || len(f.agents[a].Status().Config.Voters) != 5 {
							return false
						}
						if s := f.statusOf(a, "x"); s.Goose == nil || s.Generation != 1 || len(s.Config.Voters) != 5 {
							return false
						}
					}
					return f.agreed(f.live()...) && f.agreedOn("x")
				})
			})
		})
	}
}
