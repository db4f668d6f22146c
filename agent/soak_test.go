package agent

import (
	"context"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	soakFor   = goflag.Duration("soak.for", 5*time.Minute, "how long faults strike whole agents, in virtual time")
	soakSeeds = goflag.Uint64("soak.seeds", 1, "how many virtual soaks, each with a seed of its own")
	soakSeed  = goflag.Uint64("soak.seed", 1, "the first seed")
)

// TestVirtualSoak torments whole agents, memberlist included, by a seed. The
// network and the schedule repeat with it; memberlist draws its own chance, so a
// failure may need a few tries to come again.
func TestVirtualSoak(t *testing.T) {
	for seed := *soakSeed; seed < *soakSeed+*soakSeeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				s := &soak{f: f, dice: rand.New(rand.NewPCG(seed, 0)), struck: map[string]int{}, moved: map[string]int{}, works: map[string]*works{"": {}}}
				s.run(long(*soakFor))
				t.Logf("struck %v, %d goose periods, %d works; again with: go test ./agent -run VirtualSoak -soak.seed %d -soak.for %v",
					s.struck, s.periods(), s.begun(), seed, *soakFor)
			})
		})
	}
}

// soak is one run: what strikes is undone before the flock could lose what it
// cannot do without (P5).
type soak struct {
	f      *testFlock
	dice   *rand.Rand
	struck map[string]int
	moved  map[string]int    // addresses that an agent has had
	works  map[string]*works // by election
	// contests is what each agent contests, drawn anew at its starts; nil: soakElections.
	contests map[string][]string
}

const soakAgents = 5

// soakElections are contested beside the default one.
var soakElections = []string{"x", "y", "z"}

func (s *soak) run(d time.Duration) {
	for i := range soakAgents {
		s.start(nth(i), expecting(soakAgents))
	}
	s.f.settle(soakAgents)
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.strike()
		s.sleep(s.between(0, 5*time.Second))
	}
	s.whole()
}

// start runs an agent with work that waits for it to be the goose.
func (s *soak) start(name string, changes ...func(*Config)) {
	s.f.t.Helper()
	names := soakElections
	if s.contests != nil {
		names = s.drawn(name)
	}
	a := s.f.start(name, append([]func(*Config){joining(s.seeds()...), contesting(names...)}, changes...)...)
	for _, of := range append([]string{""}, names...) {
		if s.works[of] == nil {
			s.works[of] = &works{}
		}
		e, err := a.Election(of)
		require.NoError(s.f.t, err)
		go func(w *works) {
			_ = e.Lead(context.Background(), func(ctx context.Context, l Lease) error { return w.work(ctx, name, l) })
		}(s.works[of])
	}
}

// seeds are the addresses that agents are given: two of them, as a person would.
func (s *soak) seeds() []string {
	return []string{s.f.agent("a").addr.String(), s.f.agent("b").addr.String()}
}

// strike does one thing to the flock, waits, and undoes it.
func (s *soak) strike() {
	faults := []struct {
		name   string
		weight int
		do     func()
	}{
		{"crash", 5, s.crash}, {"power cut", 5, s.powerCut}, {"stop", 3, s.stop}, {"death", 3, s.death}, {"step-down", 4, s.stepDown},
		{"partition", 5, s.partition}, {"one-way", 3, s.oneWay}, {"network", 4, s.network},
		{"leave", 1, s.leave}, {"move", 2, s.move}, {"long cut", 1, s.longCut},
	}
	total := 0
	for _, x := range faults {
		total += x.weight
	}
	n := s.dice.IntN(total)
	for _, x := range faults {
		if n -= x.weight; n < 0 {
			s.struck[x.name]++
			x.do()
			return
		}
	}
}

func (s *soak) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.dice.Int64N(int64(high-low)))
}

// sleep lets time pass, and holds that never two works are inside their leases.
func (s *soak) sleep(d time.Duration) {
	s.f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		s.judge()
	}
}

func (s *soak) judge() {
	s.f.judge()
	if problem := s.problem(); problem != "" {
		require.FailNow(s.f.t, "P2, P3", "%s\n%s", problem, s.f)
	}
}

// one draws an agent, the goose half the time.
func (s *soak) one() string {
	if goose := s.f.goose(); goose != "" && s.dice.IntN(2) == 0 {
		return goose
	}
	return nth(s.dice.IntN(soakAgents))
}

func (s *soak) crash() {
	name := s.one()
	s.f.crash(name)
	s.sleep(s.between(time.Millisecond, 20*time.Second))
	s.start(name)
}

// powerCut cuts a machine's power amid what its agent does.
func (s *soak) powerCut() {
	name := s.one()
	ops, sends := 1+s.dice.IntN(6), 0
	if s.dice.IntN(2) == 0 {
		ops, sends = 0, 1+s.dice.IntN(20)
	}
	s.f.cutPower(name, ops, sends)
	s.sleep(s.between(time.Millisecond, 20*time.Second))
	s.start(name)
}

func (s *soak) stop() {
	name := s.one()
	s.f.stop(name)
	s.sleep(s.between(time.Millisecond, 10*time.Second))
	s.start(name)
}

func (s *soak) death() {
	d := s.between(10*time.Millisecond, 10*time.Second)
	require.NoError(s.f.t, s.f.agents[s.one()].Die(d))
	s.sleep(d + time.Second)
}

func (s *soak) stepDown() {
	if goose := s.f.goose(); goose != "" {
		_ = s.f.await(func() error { return s.f.agents[goose].StepDown(context.Background(), "") }) // it may be the goose no more
	}
}

func (s *soak) partition() {
	names := slices.Clone(s.f.order[:soakAgents])
	s.dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := 1 + s.dice.IntN(len(names)-1)
	s.f.cut(names[:n], names[n:])
	s.sleep(s.between(100*time.Millisecond, 20*time.Second))
	s.f.heal()
}

func (s *soak) oneWay() {
	for range 1 + s.dice.IntN(4) {
		from, to := s.one(), s.one()
		s.rules(from, "out "+s.f.agents[to].addr.String()+": cut")
	}
	s.sleep(s.between(100*time.Millisecond, 15*time.Second))
	s.f.heal()
}

func (s *soak) network() {
	rules := []string{
		"*: loss 30%", "*: loss gemodel 5% 30%", "*: delay 30ms 30ms", "*: delay 10ms 5ms duplicate 20% reorder 20%", "*: corrupt 5%", "*: rate 200kbit",
	}
	for _, name := range s.f.live() {
		s.rules(name, rules[s.dice.IntN(len(rules))])
	}
	s.sleep(s.between(time.Second, 30*time.Second))
	s.f.heal()
}

func (s *soak) rules(name, rules string) {
	require.NoError(s.f.t, s.f.agents[name].faults.Set(rules, 0))
}

// leave takes an agent out and brings it back, when the flock is whole.
func (s *soak) leave() {
	s.whole()
	name := s.one()
	s.f.leaves(name, false)
	s.sleep(s.between(time.Millisecond, 5*time.Second))
	s.start(name)
}

// move restarts an agent at another address.
func (s *soak) move() {
	name := s.one()
	s.f.crash(name)
	s.moved[name]++
	s.f.agents[name].addr = s.f.addr(10+s.moved[name]%200, slices.Index(s.f.order, name)+1)
	s.start(name)
	s.sleep(s.between(time.Second, 10*time.Second))
}

// longCut keeps one agent away for longer than memberlist remembers it.
func (s *soak) longCut() {
	name := s.one()
	s.f.cut([]string{name}, slices.DeleteFunc(slices.Clone(s.f.order[:soakAgents]), func(n string) bool { return n == name }))
	s.sleep(s.between(35*time.Second, 90*time.Second))
	s.f.heal()
}

// whole demands that the flock heals: one goose soon, then all members and voters.
func (s *soak) whole() {
	s.f.t.Helper()
	s.f.heal()
	s.f.until(10*time.Second, "a goose after the faults", func() bool { s.judge(); return s.f.goose() != "" })
	s.f.until(5*time.Minute, "a whole flock after the faults", func() bool {
		s.judge()
		for _, name := range s.f.live() {
			if st := s.f.agents[name].Status(); st.Alive != soakAgents || len(st.Config.Voters) != soakAgents {
				return false
			}
		}
		if s.contests != nil {
			return s.f.agreed(s.f.live()...) && s.f.goose() != ""
		}
		for _, of := range soakElections {
			if s.f.gooseOf(of) == "" || !s.f.agreedOn(of) || s.f.votersOf(s.f.gooseOf(of), of) != soakAgents {
				return false
			}
		}
		return s.f.agreed(s.f.live()...) && s.f.goose() != ""
	})
	if s.contests != nil {
		s.led()
	}
}

func (s *soak) begun() (n int) {
	for _, w := range s.works {
		n += w.begun
	}
	return n
}

// problem gives what any election's works did that may not be.
func (s *soak) problem() string {
	for of, w := range s.works {
		if p := w.judge(); p != "" {
			return strings.TrimSpace("election " + of + ": " + p)
		}
	}
	return ""
}

func (s *soak) periods() (n int) {
	for _, tokens := range s.f.geese {
		n += len(tokens)
	}
	return n
}

// works is all work that goes on for a goose. It looks at its lease before every
// act and ends a moment after it is told to.
type works struct {
	mu    sync.Mutex // guards what follows
	begun int
	token uint64 // the last one begun with, and by whom
	last  string
	going []going
	fault string
}

type going struct {
	name  string
	lease Lease
}

func (w *works) work(ctx context.Context, name string, l Lease) error {
	w.mu.Lock()
	w.begun++
	if l.Token() < w.token || l.Token() == w.token && name != w.last { // a lease that lapsed may be earned back in its period
		w.fault = fmt.Sprintf("%s begins work with token %d after %s with %d", name, l.Token(), w.last, w.token)
	}
	w.token, w.last = l.Token(), name
	w.going = append(w.going, going{name, l})
	w.mu.Unlock()
	<-ctx.Done()
	time.Sleep(3 * time.Millisecond)
	w.mu.Lock()
	w.going = slices.DeleteFunc(w.going, func(g going) bool { return g.lease == l })
	w.mu.Unlock()
	return ctx.Err()
}

// judge tells what may not be: two works inside their leases, or a token that went back.
func (w *works) judge() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var inside []string
	for _, g := range w.going {
		if g.lease.Until() > 0 {
			inside = append(inside, fmt.Sprintf("%s with token %d", g.name, g.lease.Token()))
		}
	}
	if len(inside) > 1 {
		return "works at one moment: " + strings.Join(inside, ", ")
	}
	return w.fault
}
