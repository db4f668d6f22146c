package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/cmd/ddgoose/flock"
)

// failoverWait bounds how long a flock may be without a goose.
const failoverWait = 30 * time.Second

// repeat does something with a goose so many times, and sums up how long it took.
func repeat(ctx context.Context, say func(string), what string, n int, do func(context.Context) (time.Duration, error)) (*Distribution, error) {
	var times []time.Duration
	for i := range n {
		say(fmt.Sprintf("%s %d of %d", what, i+1, n))
		d, err := do(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, d)
	}
	return distributionOf(times), nil
}

// kills kills one goose after the other.
func (w *watch) kills(ctx context.Context, o *Options, r *Report, say func(string)) (err error) {
	r.Failover, err = repeat(ctx, say, "kill", o.Kills, w.kill)
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
func (w *watch) stepDowns(ctx context.Context, o *Options, r *Report, say func(string)) (err error) {
	r.HandOff, err = repeat(ctx, say, "step-down", o.StepDowns, w.stepDown)
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
func (w *watch) pauses(ctx context.Context, o *Options, r *Report, say func(string)) (err error) {
	if o.Pauses == 0 {
		return nil
	}
	samples := startSampling(ctx, w)
	defer func() { r.Samples = samples.stop() }()
	r.Pause, err = repeat(ctx, say, "pause", o.Pauses, func(ctx context.Context) (time.Duration, error) { return w.pause(ctx, o.PauseFor) })
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
