package agent

import (
	"cmp"
	"context"
	"errors"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/lead"
	"duckduckgoose/netem/schedule"
	"duckduckgoose/netem/shape"
)

var (
	soakFor   = goflag.Duration("soak.for", 5*time.Minute, "how long faults strike whole agents, in virtual time")
	soakSeeds = goflag.Uint64("soak.seeds", 1, "how many virtual soaks, each with a seed of its own")
	soakSeed  = goflag.Uint64("soak.seed", 1, "the first seed")
)

// TestVirtualSoak injects faults into whole agents, memberlist included, by a seed. The
// network and the schedule repeat with the seed, but memberlist has random numbers of
// its own, so a failure may take a few tries to come again.
func TestVirtualSoak(t *testing.T) {
	for seed := *soakSeed; seed < *soakSeed+*soakSeeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inFlock(t, func(t *testing.T, f *testFlock) {
				s := newSoak(f, seed, 0)
				s.run(long(*soakFor))
				t.Logf("struck %v, %d goose periods, %d works, mark %d; again with: go test ./agent -run VirtualSoak -soak.seed %d -soak.for %v",
					s.struck, s.periods(), s.begun(), s.works[""].mark, seed, *soakFor)
				require.NotZero(t, s.works[""].mark)
			})
		})
	}
}

// soak is one run. Faults end before the flock could lose what it needs (P5).
type soak struct {
	f      *testFlock
	seed   uint64
	dice   *rand.Rand
	struck map[string]int
	moved  map[string]int    // addresses that an agent has had
	works  map[string]*works // by election
	// contests is what each agent contests, drawn at each start; nil: soakElections.
	contests map[string][]string
}

func newSoak(f *testFlock, seed, stream uint64) *soak {
	return &soak{f: f, seed: seed, dice: rand.New(rand.NewPCG(seed, stream)), struck: map[string]int{}, moved: map[string]int{}, works: map[string]*works{"": {}}}
}

const soakAgents = 5

// soakElections are contested beside the default one.
var soakElections = []string{"x", "y", "z"}

// soakFaults are the faults, and soakActs carry them out: they return when the fault
// ends. An agent that ended is then started again.
var (
	soakFaults = map[string]schedule.Fault{
		"crash": {Weight: 5, Goose: 50, For: within(time.Millisecond, 20*time.Second)},
		"crash-at": {Weight: 5, Goose: 50, For: within(time.Millisecond, 20*time.Second), Words: []string{
			"write power", "write 1 power", "write 3 power", "write 5 power", "send power", "send 2 power", "send 8 power", "send 19 power"}},
		"stop":      {Weight: 3, Goose: 50, For: within(time.Millisecond, 10*time.Second)},
		"die":       {Weight: 3, Goose: 50, For: within(10*time.Millisecond, 10*time.Second)},
		"step-down": {Weight: 4},
		"partition": {Weight: 6, For: within(100*time.Millisecond, 20*time.Second), Shapes: shape.Roles()},
		"flap":      {Weight: 2, For: within(100*time.Millisecond, 15*time.Second), Words: []string{"50ms", "500ms", "5s"}},
		"netem": {Weight: 4, For: within(time.Second, 30*time.Second), Rules: []string{
			"*: loss 30%", "*: loss gemodel 5% 30%", "*: delay 30ms 30ms", "*: delay 10ms 5ms duplicate 20% reorder 20%", "*: corrupt 5%", "*: rate 200kbit"}},
		"leave": {Weight: 1, Goose: 50, For: within(time.Millisecond, 5*time.Second)},
		"move":  {Weight: 2, Goose: 50},
	}
	// soakLong keeps agents away for longer than memberlist remembers them.
	soakLong = map[string]schedule.Fault{
		"partition": {Weight: 1, For: within(35*time.Second, 90*time.Second), Shapes: []string{"goose-alone", "minority", "star"}},
	}
	soakActs = map[string]func(s *soak, o *schedule.Op, name string) (ended bool){
		"crash":     (*soak).crash,
		"crash-at":  (*soak).powerCut,
		"stop":      (*soak).stop,
		"die":       (*soak).die,
		"step-down": (*soak).stepDown,
		"partition": (*soak).partition,
		"flap":      (*soak).flap,
		"netem":     (*soak).network,
		"leave":     (*soak).leave,
		"move":      (*soak).move,
	}
)

func within(least, most time.Duration) schedule.Range {
	return schedule.Range{Least: least, Most: most}
}

// run carries out a schedule. A line waits until the fault before it has ended, and
// then as long as the time between the two lines.
func (s *soak) run(d time.Duration) {
	for i := range soakAgents {
		s.start(nth(i), expecting(soakAgents))
	}
	s.f.settle(soakAgents)
	flock := schedule.Flock{Agents: soakAgents, For: d, Every: 2500 * time.Millisecond}
	ops := schedule.Mixed(s.seed, flock, soakFaults)
	flock.Every *= 36
	ops = append(ops, schedule.Mixed(s.seed, flock, soakLong)...)
	slices.SortStableFunc(ops, func(a, b schedule.Op) int { return cmp.Compare(a.At, b.At) })
	last, end := time.Duration(0), time.Now().Add(d)
	for i := 0; i < len(ops) && time.Now().Before(end); i++ {
		s.sleep(ops[i].At - last)
		last = ops[i].At
		s.strike(&ops[i])
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

// strike carries out one line, and ends its fault.
func (s *soak) strike(o *schedule.Op) {
	name := o.Who
	if name == "goose" {
		name = cmp.Or(s.f.goose(), nth(s.dice.IntN(soakAgents)))
	}
	s.struck[o.Verb]++
	if soakActs[o.Verb](s, o, name) {
		s.sleep(o.For)
		s.start(name)
	}
}

// sleep lets time pass, and checks that two works are never inside their leases.
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

func (s *soak) crash(_ *schedule.Op, name string) bool {
	s.f.crash(name)
	return true
}

// powerCut cuts a machine's power during what its agent does.
func (s *soak) powerCut(o *schedule.Op, name string) bool {
	c, err := schedule.ParseCrash(o.What)
	require.NoError(s.f.t, err)
	ops, sends := 1+c.More, 0
	if c.At == "send" {
		ops, sends = 0, ops
	}
	s.f.cutPower(name, ops, sends)
	return true
}

func (s *soak) stop(_ *schedule.Op, name string) bool {
	s.f.stop(name)
	return true
}

func (s *soak) die(o *schedule.Op, name string) bool {
	require.NoError(s.f.t, s.f.agents[name].Die(o.For))
	s.sleep(o.For + time.Second)
	return false
}

func (s *soak) stepDown(_ *schedule.Op, name string) bool {
	_ = s.f.await(func() error { return s.f.agents[name].StepDown(context.Background(), "") }) // it may not be the goose
	return false
}

func (s *soak) partition(o *schedule.Op, _ string) bool {
	names := slices.Clone(s.f.order[:soakAgents])
	s.dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	if p, err := shape.ByRole(o.What, s.f.goose(), names, names); err == nil { // there may be no goose
		s.cut(p)
		s.sleep(o.For)
		s.f.heal()
	}
	return false
}

func (s *soak) flap(o *schedule.Op, _ string) bool {
	every, err := time.ParseDuration(o.What)
	require.NoError(s.f.t, err)
	for left := o.For; left > 0; left -= every {
		s.cut(shape.Flap(s.f.order[:soakAgents], func() bool { return s.dice.IntN(3) == 0 }))
		s.sleep(min(every, left))
	}
	s.f.heal()
	return false
}

// cut makes each agent send nothing to agents that it cannot reach.
func (s *soak) cut(p shape.Shape) {
	s.f.heal()
	for _, name := range s.f.live() {
		if out, _ := p.Cuts(name, s.f.order[:soakAgents]); len(out) > 0 {
			for i, other := range out {
				out[i] = s.f.agents[other].addr.String()
			}
			s.rules(name, "out "+strings.Join(out, ",")+": cut")
		}
	}
}

func (s *soak) network(o *schedule.Op, _ string) bool {
	for _, name := range s.f.live() {
		s.rules(name, o.What)
	}
	s.sleep(o.For)
	s.f.heal()
	return false
}

func (s *soak) rules(name, rules string) {
	require.NoError(s.f.t, s.f.agents[name].faults.Set(rules, 0))
}

// leave takes an agent out when the flock is whole.
func (s *soak) leave(_ *schedule.Op, name string) bool {
	s.whole()
	s.f.leaves(name, false)
	return true
}

// move restarts an agent at another address.
func (s *soak) move(_ *schedule.Op, name string) bool {
	s.f.crash(name)
	s.moved[name]++
	s.f.agents[name].addr = s.f.addr(10+s.moved[name]%200, slices.Index(s.f.order, name)+1)
	return true
}

// whole requires that the flock heals: one goose soon, then all members and voters.
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

// problem returns what any election's works did wrong.
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

// works is all work for a goose. It checks its lease before every act, and ends a
// moment after it is told to.
type works struct {
	mu    sync.Mutex // guards what follows
	begun int
	token uint64 // the last one begun with, and by whom
	last  string
	going []going
	fault string
	marks map[uint64]string // reported as committed, and to whom
	mark  uint64            // the largest of them
}

type going struct {
	name  string
	lease Lease
}

func (w *works) work(ctx context.Context, name string, l Lease) error {
	w.mu.Lock()
	w.begun++
	if l.Token() < w.token || l.Token() == w.token && name != w.last { // a lease that lapsed may be earned again in its period
		w.fault = fmt.Sprintf("%s begins work with token %d after %s with %d", name, l.Token(), w.last, w.token)
	}
	if l.Mark() < w.mark {
		w.fault = fmt.Sprintf("P9: %s begins work with token %d and mark %d, after mark %d", name, l.Token(), l.Mark(), w.mark)
	}
	w.token, w.last = l.Token(), name
	w.going = append(w.going, going{name, l})
	w.mu.Unlock()
	w.raise(ctx, name, l)
	time.Sleep(3 * time.Millisecond)
	w.mu.Lock()
	w.going = slices.DeleteFunc(w.going, func(g going) bool { return g.lease == l })
	w.mu.Unlock()
	return ctx.Err()
}

// raise raises the mark by one, again and again, until ctx ends: each once (P9).
func (w *works) raise(ctx context.Context, name string, l Lease) {
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for next := l.Mark() + 1; ; {
		switch err := l.Advance(ctx, next); {
		case err == nil:
			w.mu.Lock()
			if by, twice := w.marks[next]; twice {
				w.fault = fmt.Sprintf("P9: mark %d is given to %s, and then to %s with token %d", next, by, name, l.Token())
			}
			if w.marks == nil {
				w.marks = map[uint64]string{}
			}
			w.marks[next], w.mark = name, max(w.mark, next)
			w.mu.Unlock()
			next++
		case errors.Is(err, lead.ErrTaken):
			next++
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// judge returns what is wrong: two works inside their leases, or a token that fell.
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
