package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// failoverWait bounds how long a flock may be without a goose.
const failoverWait = 30 * time.Second

// repeat does something with a goose so many times, and sums up how long it took.
func repeat(ctx context.Context, steps *plan, what string, n int, do func(context.Context) (time.Duration, error)) (*Distribution, error) {
	var times []time.Duration
	for range n {
		steps.begin(what)
		d, err := do(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, d)
	}
	return distributionOf(times), nil
}

// kills kills one goose after the other.
func (w *watch) kills(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	r.Failover, err = repeat(ctx, steps, "kill", o.Kills, w.kill)
	return err
}

// kill kills the goose and measures until a majority names another. The dead
// one is started again and the flock settles before it returns.
func (w *watch) kill(ctx context.Context) (time.Duration, error) {
	old, token := w.goose()
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	if err := w.atRandom(ctx); err != nil {
		return 0, err
	}
	if s, err := a.Client().Status(ctx); err == nil {
		w.judge.hear(&s) // nobody may be the goose before this one's lease ends
	}
	at := time.Now()
	if err := w.f.Kill(old); err != nil {
		return 0, err
	}
	d, err := w.another(ctx, at, token)
	if err != nil {
		return 0, err
	}
	<-a.Gone()
	err = w.until(ctx, "the killed agent to be gone", failoverWait, func(up map[string]api.Status) bool {
		_, there := up[old]
		return !there
	})
	if err != nil {
		return 0, err
	}
	if err := w.f.Start(old); err != nil {
		return 0, err
	}
	return d, w.settled(ctx)
}

// another measures until a majority of all agents names a goose of a later token.
func (w *watch) another(ctx context.Context, at time.Time, token uint64) (d time.Duration, err error) {
	err = w.until(ctx, "another goose", failoverWait, func(up map[string]api.Status) bool {
		name, t := named(up, w.most)
		d = time.Since(at)
		return name != "" && t > token
	})
	return d, err
}

// stepDowns lets one goose after the other hand over.
func (w *watch) stepDowns(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	r.HandOff, err = repeat(ctx, steps, "step-down", o.StepDowns, w.stepDown)
	return err
}

// stepDown hands over and measures the time without any goose.
func (w *watch) stepDown(ctx context.Context) (gap time.Duration, err error) {
	old, token := w.goose()
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	s := w.latest(old)
	w.judge.handsOver(&s)
	if _, err := a.Client().StepDown(ctx, ""); err != nil {
		return 0, fmt.Errorf("step-down of %s: %w", old, err)
	}
	err = w.until(ctx, "the next goose", failoverWait, func(map[string]api.Status) bool {
		j := slices.IndexFunc(w.reigns, func(r reign) bool { return r.token > token })
		ended := time.Time{}
		for _, r := range w.reigns { // one whose lease lapsed and was earned back stands there more than once
			if r.name == old && r.token == token {
				ended = r.to
			}
		}
		if j < 0 || ended.IsZero() {
			return false
		}
		gap = max(w.reigns[j].from.Sub(ended), 0)
		return true
	})
	return gap, errors.Join(err, w.settled(ctx))
}

// sampleEvery is how often each agent is asked while geese are paused.
const sampleEvery = 3 * time.Millisecond

// pauses stops one goose after the other for a while, as a debugger or a
// hypervisor would, and asks all agents all the time.
func (w *watch) pauses(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	if o.Pauses == 0 {
		return nil
	}
	samples := startSampling(ctx, w)
	defer func() { r.Samples = samples.stop() }()
	r.Pause, err = repeat(ctx, steps, "pause", o.Pauses, func(ctx context.Context) (time.Duration, error) { return w.pause(ctx, o.PauseFor) })
	return err
}

// pause stops the goose, measures until a majority names another, and lets the
// old one go on when its time is over.
func (w *watch) pause(ctx context.Context, lasts time.Duration) (time.Duration, error) {
	old, token := w.goose()
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	if err := w.atRandom(ctx); err != nil {
		return 0, err
	}
	at := time.Now()
	if err := a.Signal(syscall.SIGSTOP); err != nil {
		return 0, err
	}
	d, err := w.another(ctx, at, token)
	if err == nil {
		err = flock.Sleep(ctx, lasts-time.Since(at))
	}
	if err := errors.Join(err, a.Signal(syscall.SIGCONT)); err != nil {
		return 0, err
	}
	return d, w.settled(ctx)
}

// sampling asks every agent all the time.
type sampling struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	taken  atomic.Int64
}

func startSampling(ctx context.Context, w *watch) *sampling {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampling{cancel: cancel}
	for _, a := range w.f.Agents() {
		s.ended.Go(func() { s.ask(ctx, w.judge, a) })
	}
	return s
}

// stop gives how many answers came.
func (s *sampling) stop() int {
	s.cancel()
	s.ended.Wait()
	return int(s.taken.Load())
}

// ask keeps asking one agent. An agent that is stopped answers when it goes
// on, and that answer is the one that matters most: nothing times out.
func (s *sampling) ask(ctx context.Context, j *judge, a *flock.Agent) {
	flock.Every(ctx, sampleEvery, func() {
		if status, err := a.Client().Status(ctx); err == nil {
			s.taken.Add(1)
			j.hear(&status)
		}
	})
}
