package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
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

// repeat calls do n times with the present goose and returns the distribution of its results.
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

// Hows are the ways in which a goose ends.
var Hows = []string{"kill", "stop", "cut", "power"}

// ended is what happened to the goose, by how it ended.
var ended = map[string]string{"kill": "kill -9", "stop": "kill -STOP", "cut": "network cut", "power": "power cut"}

// failover names the measurement.
func (r *Report) failover() string {
	what := ended[r.How]
	if r.Successor {
		what += ", its successor too"
	}
	if r.Warden {
		what += ", --warden"
	}
	return "failover (" + what + ")"
}

// kills ends one goose after the other.
func (w *watch) kills(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	if o.Kills == 0 {
		return nil
	}
	r.How, r.Successor = cmp.Or(o.How, Hows[0]), o.Successor
	r.Failover, err = repeat(ctx, steps, "kill", o.Kills, func(ctx context.Context) (time.Duration, error) {
		return w.kill(ctx, r.How, o)
	})
	return err
}

// Rules are the fault rules of every agent; "" for a network without faults.
func (o *Options) Rules() string {
	if o.Loss == 0 && o.Delay == 0 {
		return ""
	}
	rules := "*:"
	if o.Loss > 0 {
		rules += fmt.Sprintf(" loss %g%%", 100*o.Loss)
	}
	if o.Delay > 0 {
		rules += " delay " + o.Delay.String()
	}
	return rules
}

// kill ends the goose, and the one that would follow it when asked, and measures
// until a majority names another. It brings back what it ended, and returns when
// the flock has settled.
func (w *watch) kill(ctx context.Context, how string, o *Options) (time.Duration, error) {
	old, token := w.goose()
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	victims := []*flock.Agent{a}
	if o.Successor {
		next, err := w.successor(ctx, a)
		if err != nil {
			return 0, err
		}
		victims = append(victims, next)
	}
	if err := w.atRandom(ctx); err != nil {
		return 0, err
	}
	if s, err := a.Client().Status(ctx); err == nil {
		w.judge.hear(&s) // nobody may be the goose before this one's lease ends
		if o.Flock.Warden && how == "kill" {
			w.judge.ends(&s) // its last will ends the lease early: its earlier answers no longer count
		}
	}
	at := time.Now()
	for _, v := range victims {
		if err := end(ctx, v, how); err != nil {
			return 0, err
		}
	}
	d, err := w.another(ctx, at, token)
	for _, v := range victims {
		err = errors.Join(err, w.bringBack(ctx, v, how))
	}
	if err == nil {
		err = w.settled(ctx)
	}
	if err == nil && o.Flock.Warden {
		err = w.rested(ctx, o.Flock.AutoLease)
	}
	return d, err
}

// rested waits until every voter may vote again: for a lease after its start it grants nothing
// (rule 13), and with a last will that wait would be most of what is measured.
func (w *watch) rested(ctx context.Context, auto bool) error {
	lease := w.longestLease()
	if auto {
		lease *= 2 // a voter rounds up what it may have promised
	}
	var wait time.Duration
	for _, a := range w.f.Agents() {
		wait = max(wait, lease+lease/20-a.Age())
	}
	return flock.Sleep(ctx, wait)
}

// successor returns the agent that is the most likely to follow the goose if it dies.
func (w *watch) successor(ctx context.Context, goose *flock.Agent) (*flock.Agent, error) {
	d, err := goose.Client().Doctor(ctx, time.Second) // the shortest that it takes
	if err != nil {
		return nil, err
	}
	for i := range d.Deaths {
		if d.Deaths[i].Name == goose.Name && len(d.Deaths[i].Successors) > 0 {
			return w.f.Agent(d.Deaths[i].Successors[0])
		}
	}
	return nil, fmt.Errorf("no agent is ready to become the goose if %s dies", goose.Name)
}

// end ends what an agent does.
func end(ctx context.Context, a *flock.Agent, how string) error {
	switch how {
	case "stop":
		return a.Signal(syscall.SIGSTOP)
	case "cut":
		_, err := a.Client().SetNetem(ctx, "*: cut", 0)
		return err
	case "power":
		return a.KillGroup()
	}
	return a.Signal(os.Kill)
}

// bringBack undoes end.
func (w *watch) bringBack(ctx context.Context, a *flock.Agent, how string) error {
	switch how {
	case "stop":
		return a.Signal(syscall.SIGCONT)
	case "cut":
		if rules := w.f.Rules(a.Name); rules != "" {
			_, err := a.Client().SetNetem(ctx, rules, 0)
			return err
		}
		return a.Client().ClearNetem(ctx)
	}
	<-a.Gone()
	err := w.until(ctx, "the killed agent to be gone", failoverWait, func(up map[string]api.Status) bool {
		_, there := up[a.Name]
		return !there
	})
	if err != nil {
		return err
	}
	return w.f.Start(a.Name)
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

// stepDowns has one goose after another hand over.
func (w *watch) stepDowns(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	r.HandOff, err = repeat(ctx, steps, "step-down", o.StepDowns, w.stepDown)
	return err
}

// stepDown has the goose hand over and measures the time without a goose.
func (w *watch) stepDown(ctx context.Context) (gap time.Duration, err error) {
	old, token := w.goose()
	a, err := w.f.Agent(old)
	if err != nil {
		return 0, err
	}
	s := w.latest(old)
	w.judge.ends(&s)
	if _, err := a.Client().StepDown(ctx, ""); err != nil {
		return 0, fmt.Errorf("step-down of %s: %w", old, err)
	}
	err = w.until(ctx, "the next goose", failoverWait, func(map[string]api.Status) bool {
		j := slices.IndexFunc(w.periods, func(r period) bool { return r.token > token })
		ended := time.Time{}
		for _, r := range w.periods { // a goose that lost its lease and renewed it has several
			if r.name == old && r.token == token {
				ended = r.to
			}
		}
		if j < 0 || ended.IsZero() {
			return false
		}
		gap = max(w.periods[j].from.Sub(ended), 0)
		return true
	})
	return gap, errors.Join(err, w.settled(ctx))
}

// sampleEvery is how often each agent is asked while geese are paused.
const sampleEvery = 3 * time.Millisecond

// pauses stops one goose after another for a while, as a debugger or a hypervisor
// would, and asks all agents all the time.
func (w *watch) pauses(ctx context.Context, o *Options, r *Report, steps *plan) (err error) {
	if o.Pauses == 0 {
		return nil
	}
	samples := startSampling(ctx, w)
	defer func() { r.Samples = samples.stop() }()
	r.Pause, err = repeat(ctx, steps, "pause", o.Pauses, func(ctx context.Context) (time.Duration, error) { return w.pause(ctx, o.PauseFor) })
	return err
}

// pause stops the goose, measures until a majority names another, and continues the old
// one after PauseFor.
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

// stop returns how many answers came.
func (s *sampling) stop() int {
	s.cancel()
	s.ended.Wait()
	return int(s.taken.Load())
}

// ask asks one agent again and again, without a time-out: the answer of a stopped agent
// comes when it continues, and is the most important one.
func (s *sampling) ask(ctx context.Context, j *judge, a *flock.Agent) {
	flock.Every(ctx, sampleEvery, func() {
		if status, err := a.Client().Status(ctx); err == nil {
			s.taken.Add(1)
			j.hear(&status)
		}
	})
}
