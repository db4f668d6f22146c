package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// watch follows what every agent says of itself, and finds two of one token (P1).
type watch struct {
	t     *testing.T
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu      sync.Mutex // guards what follows
	latest  map[string]api.Status
	geese   map[uint64]string // by token
	periods []string          // every time that somebody became goose, in order
	changed chan struct{}     // closed and replaced at every change
}

func newWatch(t *testing.T, members []*member) *watch {
	ctx, stop := context.WithCancel(context.Background())
	w := &watch{t: t, stop: stop, latest: map[string]api.Status{}, geese: map[uint64]string{}, changed: make(chan struct{})}
	for _, m := range members {
		w.ended.Go(func() { w.follow(ctx, m) })
	}
	return w
}

func (w *watch) follow(ctx context.Context, m *member) {
	c := m.client()
	c.Wait = time.Minute // it may be starting
	for ctx.Err() == nil {
		for s, err := range c.Watch(ctx) {
			if err != nil {
				s = api.Status{Name: m.Name, Role: api.RoleDead}
			}
			w.see(s)
		}
	}
}

func (w *watch) see(s api.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Role == api.RoleGoose {
		if other, known := w.geese[s.Token]; known && other != s.Name {
			w.t.Errorf("two geese with token %d: %s and %s", s.Token, other, s.Name)
		}
		w.geese[s.Token] = s.Name
		if w.latest[s.Name].Role != api.RoleGoose {
			w.periods = append(w.periods, s.Name)
		}
	}
	w.latest[s.Name] = s
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits for a condition on what the agents say. The limit is for a
// machine that is busy with other things; a flock needs a few leases.
func (w *watch) until(what string, ok func(map[string]api.Status) bool) {
	w.t.Helper()
	timer := time.NewTimer(apitest.Patience)
	defer timer.Stop()
	for {
		w.mu.Lock()
		done, changed := ok(w.latest), w.changed
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			require.FailNow(w.t, "not in time", "%s\n%s", what, w)
		}
	}
}

// silent asserts that for d none of them calls itself goose by a lease that ends after a
// moment of the boot clock. Renewals are not heard of here: what was a lease of before, and
// is renewed since, shows in that it never ends.
func (w *watch) silent(names []string, after, d time.Duration) {
	w.t.Helper()
	leads := func(all map[string]api.Status) string {
		return gooseOf(all, slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return all[name].Lease.UntilBoottimeNS <= int64(after)
		}))
	}
	none := func(all map[string]api.Status) bool { return gooseOf(all, names) == "" }
	w.until(fmt.Sprintf("none of %v is the goose", names), none)
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		w.mu.Lock()
		goose, changed := leads(w.latest), w.changed
		w.mu.Unlock()
		if goose != "" {
			require.FailNow(w.t, "a goose without a majority", "%s\n%s", goose, w)
		}
		select {
		case <-changed:
		case <-timer.C:
			w.until(fmt.Sprintf("none of %v is still the goose", names), none)
			return
		}
	}
}

func (w *watch) latestOf(name string) api.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest[name]
}

func (w *watch) periodsSoFar() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.periods)
}

func (w *watch) goose(names []string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return gooseOf(w.latest, names)
}

// gooseOf gives the one of names that calls itself goose, "" when none does.
func gooseOf(all map[string]api.Status, names []string) string {
	for _, name := range names {
		if all[name].Role == api.RoleGoose {
			return name
		}
	}
	return ""
}

// String tells what every agent says, for failures.
func (w *watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for name, s := range w.latest {
		goose := "nobody"
		if s.Goose != nil {
			goose = s.Goose.Name
		}
		text += fmt.Sprintf("%s: %s, term %d, goose %s, %d voters, %d alive, at %s, netem %q, warnings %q\n",
			name, s.Role, s.Term, goose, len(s.Config.Voters), s.Alive, s.Addr, s.Netem, s.Warnings)
	}
	return text
}

func (w *watch) close() {
	w.stop()
	w.ended.Wait()
}
