package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/flock"
)

// FanOutTime is how long it takes from the first watcher that hears of a new
// goose until half of them, and all, have heard.
type FanOutTime struct {
	Watchers int           `json:"watchers"`
	Half     *Distribution `json:"half_ms"`
	All      *Distribution `json:"all_ms"`
}

// watching names a part of the bench.
func watching(n int) string { return fmt.Sprintf("%d watchers: step-down", n) }

// fanOut has n watch one agent, and measures how they hear of new geese.
func (w *watch) fanOut(ctx context.Context, steps *plan, n, changes int) (*FanOutTime, error) {
	a, err := w.duck()
	if err != nil {
		return nil, err
	}
	crowd := newCrowd(ctx, a, w.judge, n)
	defer crowd.close()
	_, token := w.goose()
	if err := crowd.heard(ctx, token, nil); err != nil { // all are connected
		return nil, err
	}
	t := &FanOutTime{Watchers: n}
	var half, all []time.Duration
	for range changes {
		steps.begin(watching(n))
		old, token := w.goose()
		goose, err := w.f.Agent(old)
		if err != nil {
			return nil, err
		}
		s := w.latest(old)
		w.judge.ends(&s)
		if _, err := goose.Client().StepDown(ctx, ""); err != nil {
			return nil, fmt.Errorf("step-down of %s: %w", old, err)
		}
		times := make([]time.Duration, n)
		if err := crowd.heard(ctx, token+1, times); err != nil {
			return nil, err
		}
		d := distributionOf(times) // since the crowd began
		first := d.samples[0]
		half, all = append(half, d.samples[n/2]-first), append(all, d.samples[n-1]-first)
		if err := w.settled(ctx); err != nil {
			return nil, err
		}
	}
	t.Half, t.All = distributionOf(half), distributionOf(all)
	return t, nil
}

// crowd is many that watch one agent.
type crowd struct {
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	began   time.Time
	members []crowdMember
	changed chan struct{} // of capacity 1
	failed  atomic.Pointer[error]
}

// crowdMember is what one of them has heard.
type crowdMember struct {
	mu    sync.Mutex
	token uint64        // the latest
	at    time.Duration // when it was heard first, since the crowd began
}

func newCrowd(ctx context.Context, a *flock.Agent, j *judge, n int) *crowd {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{cancel: cancel, began: time.Now(), members: make([]crowdMember, n), changed: make(chan struct{}, 1)}
	watching := client.New(a.Socket)
	for i := range c.members {
		c.ended.Go(func() {
			for s, err := range watching.Watch(ctx) {
				if err != nil {
					c.failed.CompareAndSwap(nil, &err)
				}
				c.hear(&c.members[i], &s, j)
			}
		})
	}
	return c
}

func (c *crowd) close() {
	c.cancel()
	c.ended.Wait()
}

func (c *crowd) hear(m *crowdMember, s *api.Status, j *judge) {
	j.hear(s)
	m.mu.Lock()
	if s.Token > m.token {
		m.token, m.at = s.Token, time.Since(c.began)
	}
	m.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// heard waits until all have heard of a goose of that token or a later one, and records
// when.
func (c *crowd) heard(ctx context.Context, token uint64, times []time.Duration) error {
	var deaf int
	err := wait(ctx, "all watchers to hear of a new goose", settleWait, func() (bool, <-chan struct{}, error) {
		deaf = 0
		for i := range c.members {
			m := &c.members[i]
			m.mu.Lock()
			if m.token < token {
				deaf++
			} else if times != nil {
				times[i] = m.at
			}
			m.mu.Unlock()
		}
		if err := c.failed.Load(); err != nil && deaf > 0 {
			return false, nil, fmt.Errorf("a watcher: %w", *err)
		}
		return deaf == 0, c.changed, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %d of %d have not", err, deaf, len(c.members))
	}
	return nil
}
