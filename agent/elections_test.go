package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
)

func contesting(names ...string) func(*Config) { return func(c *Config) { c.Elections = names } }

// many returns n names of elections.
func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("job-%d", i))
	}
	return names
}

// foundWith starts n agents that found a flock and contest elections, and waits
// until all of these have a goose.
func (f *testFlock) foundWith(n int, names ...string) {
	f.t.Helper()
	for i := range n {
		f.start(nth(i), joining("10.0.0.1"), expecting(n), contesting(names...))
	}
	f.settle(n)
	f.allLed(names...)
}

// allLed waits until all live agents name one goose in each election.
func (f *testFlock) allLed(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.until(time.Minute, "a goose in "+name, func() bool { return f.gooseOf(name) != "" && f.agreedOn(name) })
	}
}

func (f *testFlock) in(agent, name string) *Election {
	f.t.Helper()
	e, err := f.agents[agent].Election(name)
	require.NoError(f.t, err)
	return e
}

// statusOf is an agent's status in an election; zero when it does not know it yet.
func (f *testFlock) statusOf(agent, name string) Status {
	e, err := f.agents[agent].Election(name)
	if err != nil {
		return Status{}
	}
	return e.at.snapshots.Uncounted()
}

func (f *testFlock) gooseOf(name string) string {
	now := f.clock()
	for _, a := range f.live() {
		if e, err := f.agents[a].Election(name); err == nil {
			if lease := e.at.snapshots.Lease(); lease.Token != 0 && lease.Until > now {
				return a
			}
		}
	}
	return ""
}

func (f *testFlock) agreedOn(name string) bool {
	var token uint64
	for _, a := range f.live() {
		s := f.statusOf(a, name)
		if s.Goose == nil || token != 0 && s.Token != token {
			return false
		}
		token = s.Token
	}
	return true
}

// spread waits until the elections are spread evenly over the live agents.
func (f *testFlock) spread(names ...string) {
	f.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; f.sleep(200 * time.Millisecond) {
		least, most, sum := len(names), 0, 0
		for _, n := range f.leads(names...) {
			least, most, sum = min(least, n), max(most, n), sum+n
		}
		if sum == len(names) && most-least <= 1 {
			return
		}
		require.True(f.t, time.Now().Before(end), "no even spread: %v\n%s", f.leads(names...), f)
	}
}

// leads counts the elections that each live agent leads.
func (f *testFlock) leads(names ...string) map[string]int {
	counts := map[string]int{}
	for _, a := range f.live() {
		counts[a] = 0
	}
	for _, name := range names {
		if goose := f.gooseOf(name); goose != "" {
			counts[goose]++
		}
	}
	return counts
}

func (f *testFlock) votersOf(agent, name string) int {
	return len(f.statusOf(agent, name).Config.Voters)
}

func TestSeveralElectionsEachHaveAGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "backup", "mail")
		for _, name := range []string{"backup", "mail"} {
			s := f.statusOf("b", name)
			require.Equal(t, name, s.Election)
			require.Len(t, s.Config.Voters, 3)
		}
		require.Empty(t, f.agents["a"].Status().Election)

		// Terms belong to an election: a change in one moves no other.
		before := f.agents["a"].Status().Token
		mail := f.statusOf("a", "mail").Token
		goose := f.gooseOf("backup")
		require.NoError(t, f.await(func() error { return f.in(goose, "backup").StepDown(context.Background(), "") }))
		f.until(time.Minute, "another goose", func() bool { g := f.gooseOf("backup"); return g != "" && g != goose })
		require.Equal(t, before, f.agents["a"].Status().Token)
		require.Equal(t, mail, f.statusOf("a", "mail").Token)
	})
}

func TestElectionsOutliveTheDeathOfAnyAgent(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := many(6)
		f.foundWith(5, names...)
		tokens := map[string]uint64{}
		for range 3 {
			victim := f.gooseOf(names[0])
			led := map[string]bool{}
			for _, name := range names {
				tokens[name], led[name] = f.statusOf(victim, name).Token, f.gooseOf(name) == victim
			}
			f.crash(victim)
			f.allLed(names...)
			for _, name := range names {
				token := f.statusOf(f.live()[0], name).Token
				require.GreaterOrEqual(t, token, tokens[name])
				if led[name] {
					require.Greater(t, token, tokens[name])
				}
			}
			f.start(victim, joining("10.0.0.1", "10.0.0.2"), contesting(names...))
			f.allAlive()
			f.allLed(names...)
		}
	})
}

func TestElectionsAreSpreadOverTheAgents(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		n := 20
		if raced {
			n = 8
		}
		names := many(n)
		f.foundWith(5, names...)
		f.spread(names...)
		terms := func() (sum uint64) {
			for _, name := range names {
				sum += f.statusOf("a", name).Term
			}
			return sum
		}
		before := terms()
		f.sleep(long(30 * time.Second))
		require.Equal(t, before, terms(), "what is spread evenly does not move any more")

		f.crash("c")
		f.allLed(names...)
		f.start("c", joining("10.0.0.1"), contesting(names...))
		f.spread(names...)
	})
}

func TestAnElectionIsAddedToAFlockThatRuns(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.start("d", joining("10.0.0.1"), contesting("late"))
		f.warns(time.Minute, "d", "no goose in election late: this agent is not a voter yet")
		f.start("e", joining("10.0.0.1"))
		f.until(time.Minute, "five voters", func() bool { return len(f.agents["a"].Status().Config.Voters) == 5 })
		f.until(time.Minute, "a goose", func() bool { return f.gooseOf("late") == "d" })
		f.until(time.Minute, "the others may not lead it", func() bool {
			s := f.statusOf("d", "late")
			for _, v := range s.Config.Voters {
				if (v.Priority == 1) == (v.Name == "d") {
					return false
				}
			}
			return len(s.Config.Voters) == len(f.agents["d"].Status().Config.Voters)
		})
		_, err := f.agents["a"].Election("late")
		require.NoError(t, err, "those that do not contest it know it all the same")
		require.Equal(t, api.CodeUncontested, api.CodeOf(f.in("a", "late").Lead(context.Background(), nil)))

		f.stop("d")
		f.sleep(5 * time.Second)
		require.Empty(t, f.gooseOf("late"), "nobody else contests it")
		f.start("d", joining("10.0.0.1"), contesting("late"))
		f.until(time.Minute, "it leads again", func() bool { return f.gooseOf("late") == "d" })
	})
}

func TestElectionsFollowTheDefaultVoters(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		for _, name := range []string{"d", "e"} {
			f.start(name, joining("10.0.0.1"), contesting("x"))
		}
		f.settle(5)
		f.until(time.Minute, "five voters", func() bool { return f.votersOf(f.gooseOf("x"), "x") == 5 })
		for _, name := range []string{f.goose(), f.gooseOf("x")} {
			if f.agents[name].Agent == nil {
				continue // it was both
			}
			require.NoError(t, f.await(func() error { return f.agents[name].Leave(context.Background(), false) }))
			require.NoError(t, f.wait(name))
			f.allLed("x")
		}
		voters := len(f.live())
		f.until(time.Minute, "those that left are out", func() bool {
			goose := f.gooseOf("x")
			return goose != "" && f.votersOf(goose, "x") <= voters
		})
	})
}

func TestElectionsSurviveARestartOfAll(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := many(4)
		f.foundWith(3, names...)
		f.sleep(2 * time.Second)
		tokens := map[string]uint64{}
		for _, name := range names {
			tokens[name] = f.statusOf("a", name).Token
		}
		for _, name := range slices.Clone(f.live()) {
			f.crash(name)
		}
		for _, name := range []string{"a", "b", "c"} {
			f.start(name, joining("10.0.0.1", "10.0.0.2"), contesting(names...))
		}
		f.allLed(names...)
		for _, name := range names {
			require.Greater(t, f.statusOf("a", name).Token, tokens[name])
		}
	})
}

// The default election's goose founds elections; they do not need it afterwards.
func TestElectionsAreIndependentOfTheDefaultGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := many(10)
		f.foundWith(5, names...)
		f.until(2*time.Minute, "not all at one", func() bool { return f.leads(names...)[f.goose()] <= 2 })
		goose := f.goose()
		var other string
		for _, name := range names {
			if f.gooseOf(name) != goose {
				other = name
			}
		}
		before := f.statusOf(goose, other).Token
		rest := f.ducks()
		f.cut([]string{goose}, rest)
		f.until(10*time.Second, "a goose of the others", func() bool { g := f.goose(); return g != "" && g != goose })
		require.Equal(t, before, f.statusOf(f.gooseOf(other), other).Token)
		f.heal()
		f.allLed(names...)
	})
}

func TestHoldersOfElectionsAreTheirOwn(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x", "y")
		goose := f.gooseOf("x")
		began, ended := make(chan uint64, 1), make(chan error, 1)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			done <- f.in(goose, "x").Lead(ctx, func(ctx context.Context, l Lease) error {
				began <- l.Token()
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil
			})
		}()
		f.until(time.Minute, "work", func() bool { return len(began) == 1 })
		require.Equal(t, f.statusOf(goose, "x").Token, <-began)
		if g := f.gooseOf("y"); g != "" {
			require.NoError(t, f.await(func() error { return f.in(g, "y").StepDown(context.Background(), "") }))
		}
		require.Empty(t, ended, "a step-down in another election stops no work")
		require.NoError(t, f.await(func() error { return f.in(goose, "x").StepDown(context.Background(), "") }))
		require.ErrorIs(t, <-ended, ErrSteppedDown)
		cancel()
		require.ErrorIs(t, f.await(func() error { return <-done }), context.Canceled)
	})
}

func TestAStopHandsAllElectionsOver(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		names := many(9)
		f.foundWith(3, names...)
		at := time.Now()
		f.stop("a")
		f.allLed(names...)
		require.Less(t, time.Since(at), 400*time.Millisecond, "handed over, not waited for")
	})
}

// A table that no majority has taken can be replaced: its elections never began.
func TestATableThatWasNotTakenIsOverridden(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		old := f.goose()
		_, err := ask(context.Background(), f.agents[old].Agent, func(l *life, answer func(struct{}, error)) error {
			l.member.AnswerTable(member.TableQuestion{Wanted: []string{"lost"}})
			answer(struct{}{}, nil)
			return nil
		})
		require.NoError(t, err)
		f.until(time.Second, "it is reserved at the goose", func() bool {
			_, err := f.agents[old].Election("lost")
			return err == nil || f.record(old).Config.Table != store.TableOf(nil)
		})
		f.cut([]string{old}, f.ducks())
		f.until(10*time.Second, "another goose", func() bool { g := f.goose(); return g != "" && g != old })
		other := f.goose()
		_, err = ask(context.Background(), f.agents[other].Agent, func(l *life, answer func(struct{}, error)) error {
			l.member.AnswerTable(member.TableQuestion{Wanted: []string{"kept"}})
			answer(struct{}{}, nil)
			return nil
		})
		require.NoError(t, err)
		f.until(10*time.Second, "it begins", func() bool {
			_, err := f.agents[other].Election("kept")
			return err == nil
		})
		f.heal()
		f.until(time.Minute, "one table", func() bool {
			return f.record("a").Config.Table == f.record("b").Config.Table && f.record("b").Config.Table == f.record("c").Config.Table
		})
	})
}

func TestNamesOfElections(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "nightly-backup_2.0": true, "": false, ".": false, "..": false, "Upper": false, "sp ace": false,
		"aaaaaaaaaabbbbbbbbbbccccccccccdd": true, "aaaaaaaaaabbbbbbbbbbccccccccccddd": false, "a/b": false,
	} {
		require.Equal(t, ok, api.ValidElection(name), name)
	}
	c := Config{Elections: []string{"A", "x", "x"}}.Default()
	err := c.Validate()
	require.ErrorContains(t, err, `election "A": want 1 to 32 of a-z 0-9 . _ -`)
	require.ErrorContains(t, err, `election "x" is named twice`)
	_, err = (&Agent{}).Election("none")
	require.ErrorContains(t, err, `no election "none" in this flock`)
}

// datagrams counts what all agents send within d.
func (f *testFlock) datagrams(d time.Duration) (datagrams, bytes float64) {
	count := func() (n, b uint64) {
		for _, name := range f.live() {
			c := f.agents[name].counters()
			n += c["datagrams_sent"]
			b += c["bytes_sent"]
		}
		return n, b
	}
	n, b := count()
	f.sleep(d)
	m, c := count()
	return float64(m-n) / d.Seconds(), float64(c-b) / d.Seconds()
}

// One set of heartbeats between two agents carries all elections.
func TestAHundredElectionsCostLittleMoreThanFive(t *testing.T) {
	if raced {
		t.Skip("it counts, ten times as slowly under the race detector: make test-virtual runs it")
	}
	measure := func(names []string) (datagrams, bytes float64) {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.foundWith(5, names...)
			f.spread(names...)
			f.sleep(2 * time.Second)
			datagrams, bytes = f.datagrams(5 * time.Second)
		})
		return datagrams, bytes
	}
	one, oneBytes := measure(nil)
	five, fiveBytes := measure(many(5))
	hundred, hundredBytes := measure(many(100))
	t.Logf("datagrams/s: one election %.0f, five %.0f, a hundred %.0f; bytes/s %.0f, %.0f, %.0f", one, five, hundred, oneBytes, fiveBytes, hundredBytes)
	require.LessOrEqual(t, hundred, 3*one)
	require.LessOrEqual(t, hundred, 1.5*five)
	require.LessOrEqual(t, hundredBytes, 10*oneBytes)
}

// While one table is being committed, the next one waits: the node takes the first
// proposal.
func TestElectionsWantedAtOnceAreAllFounded(t *testing.T) {
	for range 10 {
		inFlock(t, func(t *testing.T, f *testFlock) {
			f.start("a", joining("10.0.0.1"), expecting(3), contesting("backup", "reports"))
			f.start("b", joining("10.0.0.1"), expecting(3), contesting("backup"))
			f.start("c", joining("10.0.0.1"), expecting(3))
			f.settle(3)
			f.allLed("backup", "reports")
			want := func(name string) {
				_, err := ask(context.Background(), f.agents[f.goose()].Agent, func(l *life, answer func(struct{}, error)) error {
					l.member.AnswerTable(member.TableQuestion{Wanted: []string{name}})
					answer(struct{}{}, nil)
					return nil
				})
				require.NoError(t, err)
			}
			want("third")
			want("fourth") // the change for the third is not made yet
			f.until(time.Minute, "both are founded", func() bool {
				for _, name := range []string{"third", "fourth"} {
					for _, a := range f.live() {
						if _, err := f.agents[a].Election(name); err != nil {
							return false
						}
					}
				}
				return true
			})
		})
	}
}

func TestAStepDownGoesToOneThatContests(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", joining("10.0.0.1"), expecting(3), contesting("x"))
		f.start("b", joining("10.0.0.1"), expecting(3), contesting("x"))
		f.start("c", joining("10.0.0.1"), expecting(3))
		f.settle(3)
		for range 6 {
			f.until(time.Minute, "a goose", func() bool { return f.gooseOf("x") != "" })
			goose := f.gooseOf("x")
			f.until(time.Minute, "a contestant that answers", func() bool {
				err := f.await(func() error { return f.in(goose, "x").StepDown(context.Background(), "") })
				if err != nil {
					require.ErrorContains(t, err, "no other live voter contests election x")
				}
				return err == nil
			})
			f.until(time.Minute, "another goose", func() bool { g := f.gooseOf("x"); return g != "" && g != goose })
			require.NotEqual(t, "c", f.gooseOf("x"))
		}
	})
}

func TestMetricsTellOfEachElection(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x", "y")
		goose := f.gooseOf("x")
		_, of := f.scrape(goose)
		require.EqualValues(t, 1, of[`ddgoose_election_is_goose{election="x"}`])
		require.EqualValues(t, 1, of[`ddgoose_election_has_goose{election="y"}`])
		require.EqualValues(t, f.statusOf(goose, "x").Token, of[`ddgoose_election_token{election="x"}`])
		require.Positive(t, of[`ddgoose_election_term{election="x"}`])
		require.Positive(t, of[`ddgoose_election_lease_remaining_seconds{election="x"}`])
	})
}

func TestReadersOfACalmElectionSeeWhatElseChanges(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.foundWith(3, "x")
		f.sleep(3 * time.Second)
		goose := f.gooseOf("x")
		duck := f.others(goose)[0]
		a := f.agents[duck]
		soon := func(what string, ok func(Status) bool) {
			f.until(500*time.Millisecond, what, func() bool { return ok(f.statusOf(duck, "x")) })
			f.sleep(time.Second)
		}
		calm := func() {
			f.until(time.Minute, "calm", func() (is bool) {
				require.NoError(t, f.await(func() error {
					return a.onLoop(context.Background(), func(l *life) error {
						is = l.member.Named("x").Calm(l.now())
						return nil
					})
				}))
				return is
			})
		}
		frozen := func(s Status) bool { return strings.Contains(strings.Join(s.Warnings, " "), "frozen") }
		freeze := func(d time.Duration) {
			calm()
			require.NoError(t, f.await(func() error { _, err := f.agents[goose].spreadFreeze(context.Background(), d); return err }))
		}
		freeze(time.Minute)
		soon("a freeze", frozen)
		freeze(0)
		soon("a thaw", func(s Status) bool { return !frozen(s) })

		calm()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- f.in(duck, "x").Lead(ctx, func(context.Context, Lease) error { return nil }) }()
		soon("work waits", func(s Status) bool { return len(s.Holders) == 1 })
		cancel()
		f.until(time.Second, "its end", func() bool { return len(ended) == 1 })
		soon("no work waits", func(s Status) bool { return len(s.Holders) == 0 })

		f.sleep(3 * time.Second)
		calm()
		require.NoError(t, f.await(func() error { return a.Die(0) }))
		soon("its death", func(s Status) bool { return s.Role == api.RoleDead && s.Goose == nil })
		require.NoError(t, a.Revive())
		f.until(10*time.Second, "the goose", func() bool { s := f.statusOf(duck, "x"); return s.Role == api.RoleDuck && s.Goose != nil })
		f.sleep(3 * time.Second)
		calm()
		f.crash(f.gooseOf("x"))
		f.until(5*time.Second, "another goose", func() bool { s := f.statusOf(duck, "x"); return s.Goose != nil && s.Goose.Name != goose })
	})
}
