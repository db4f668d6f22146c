package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
)

// failoverWait bounds how long a flock may be without a goose.
const failoverWait = 30 * time.Second

// kills kills one goose after the other.
func (w *watch) kills(ctx context.Context, o *Options, r *Report, say func(string)) error {
	var times []time.Duration
	for i := range o.Kills {
		say(fmt.Sprintf("kill %d of %d", i+1, o.Kills))
		d, err := w.kill(ctx)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	r.Failover = distributionOf(times)
	return nil
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
func (w *watch) stepDowns(ctx context.Context, o *Options, r *Report, say func(string)) error {
	var gaps []time.Duration
	for i := range o.StepDowns {
		say(fmt.Sprintf("step-down %d of %d", i+1, o.StepDowns))
		gap, err := w.stepDown(ctx)
		if err != nil {
			return err
		}
		gaps = append(gaps, gap)
	}
	r.HandOff = distributionOf(gaps)
	return nil
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
		i := slices.IndexFunc(w.reigns, func(r reign) bool { return r.name == old && r.token == token })
		j := slices.IndexFunc(w.reigns, func(r reign) bool { return r.token > token })
		if i < 0 || j < 0 || w.reigns[i].to.IsZero() {
			return false
		}
		gap = max(w.reigns[j].from.Sub(w.reigns[i].to), 0)
		return true
	})
	return gap, errors.Join(err, w.settled(ctx))
}

// sampleEvery is how often each agent is asked while geese are paused.
const sampleEvery = 3 * time.Millisecond

// pauses stops one goose after the other for a while, as a debugger or a
// hypervisor would, and asks all agents all the time.
func (w *watch) pauses(ctx context.Context, o *Options, r *Report, say func(string)) error {
	if o.Pauses == 0 {
		return nil
	}
	samples := startSampling(ctx, w)
	defer func() { r.Samples = samples.stop() }()
	var times []time.Duration
	for i := range o.Pauses {
		say(fmt.Sprintf("pause %d of %d", i+1, o.Pauses))
		d, err := w.pause(ctx, o.PauseFor)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	r.Pause = distributionOf(times)
	return nil
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
		err = sleep(ctx, lasts-time.Since(at))
	}
	if err := errors.Join(err, a.Signal(syscall.SIGCONT)); err != nil {
		return 0, err
	}
	return d, w.settled(ctx)
}
