package monitor

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// patients are agents that answer as a test says, in a bubble.
type patients struct {
	*Pulse
	asked map[string]int
	reply map[string]func(ctx context.Context) (api.Status, error)
}

func newPatients(t *testing.T, up ...api.Status) *patients {
	t.Helper()
	p := &patients{
		Pulse: NewPulse(New(t.Context(), time.Second, nil)), asked: map[string]int{},
		reply: map[string]func(context.Context) (api.Status, error){},
	}
	for _, s := range up {
		p.m.report(s.Name, s, true)
		p.reply[s.Name] = func(context.Context) (api.Status, error) { return s, nil }
	}
	p.ask = func(ctx context.Context, name string) (api.Status, error) {
		p.mu.Lock()
		p.asked[name]++
		reply := p.reply[name]
		p.mu.Unlock()
		return reply(ctx)
	}
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		p.Follow(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-followed
		p.m.Close()
	})
	synctest.Wait()
	return p
}

// after lets time pass.
func (p *patients) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *patients) says(name string, reply func(context.Context) (api.Status, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply[name] = reply
}

// counts returns how often each was asked.
func (p *patients) counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.asked)
}

func silence(ctx context.Context) (api.Status, error) {
	<-ctx.Done()
	return api.Status{}, ctx.Err()
}

func goose(name string, token uint64, left time.Duration) api.Status {
	return api.Status{Name: name, Role: api.RoleGoose, Token: token, Lease: api.Lease{
		Valid: true, RemainingMS: float64(left.Milliseconds()), UntilBoottimeNS: int64(boottime.Now() + left),
	}}
}

func duck(name string) api.Status { return api.Status{Name: name, Role: api.RoleDuck} }

func TestGeeseAreAskedMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatients(t, goose("a", 1, time.Minute), duck("b"))
		require.Equal(t, map[string]int{"a": 1, "b": 1}, p.counts(), "all at once")
		p.after(10*time.Second + time.Millisecond)
		require.Equal(t, map[string]int{"a": 41, "b": 11}, p.counts())
	})
}

func TestAgentThatHangsIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatients(t, goose("a", 1, time.Minute), duck("b"))
		p.says("b", silence)
		p.after(time.Second + time.Millisecond) // asked by now
		require.False(t, p.Hangs("b"), "it has had no time yet")
		p.after(time.Second)
		require.True(t, p.Hangs("b"))
		require.False(t, p.Hangs("a"))
		p.after(time.Minute)
		require.True(t, p.Hangs("b"), "still")
		require.Less(t, p.counts()["b"], 10, "nobody heaps questions on it")
		p.says("b", func(context.Context) (api.Status, error) { return duck("b"), nil })
		p.after(beatWait + time.Second)
		require.False(t, p.Hangs("b"))

		p.says("b", silence)
		p.after(3 * time.Second)
		require.True(t, p.Hangs("b"))
		p.m.report("b", api.Status{}, false)
		p.after(time.Second)
		require.False(t, p.Hangs("b"), "it has gone, which is another thing")
	})
}

func TestLeaseIsTheLastWordUntilAnAnswerIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The boot clock is the real one: in this bubble it stands nearly still.
		s := goose("a", 1, time.Hour)
		p := newPatients(t, s)
		require.Equal(t, time.Hour, p.Left("a", &s))
		p.says("a", func(context.Context) (api.Status, error) { return goose("a", 1, 2*time.Hour), nil })
		p.after(beatEvery + time.Millisecond)
		require.Equal(t, 2*time.Hour, p.Left("a", &s), "renewed, which no watch tells")

		lapsed := goose("a", 1, time.Hour)
		lapsed.Lease.UntilBoottimeNS = 1
		q := newPatients(t, lapsed)
		require.Equal(t, time.Hour, q.Left("a", &lapsed))
		q.says("a", silence)
		q.after(3 * beatEvery)
		require.Zero(t, q.Left("a", &lapsed), "by the clock, while it owes an answer")
		other := duck("a")
		require.Zero(t, p.Left("a", &other))
	})
}

func TestWhoIsChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatients(t, duck("b"), duck("c"), duck("d"))
		require.Equal(t, "c", p.choose("c"))
		require.Equal(t, "b", p.choose("z"))
		p.m.report("d", goose("d", 3, time.Minute), true)
		require.Equal(t, "d", p.choose("c"), "the goose hears all")
		p.m.report("b", goose("b", 4, time.Minute), true)
		require.Equal(t, "b", p.choose("c"), "the newest of two")
		p.says("b", silence)
		p.after(3 * time.Second)
		require.Equal(t, "d", p.choose("c"), "one that hangs tells nothing")
		for _, name := range []string{"b", "c", "d"} {
			p.m.report(name, api.Status{}, false)
		}
		require.Empty(t, p.choose("c"))
	})
}

func TestQuestionThatFailsAccusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatients(t, duck("b"))
		p.says("b", func(context.Context) (api.Status, error) { return api.Status{}, errors.New("no luck") })
		p.after(10 * time.Second)
		require.False(t, p.Hangs("b"))
	})
}
