package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// runner is the process that a person or a service manager started.
type runner struct {
	opts    Options
	subtree *subtree
	managed *managed // the container or unit; nil: CMD runs
	left    killable // what a dead guard may leave: the subtree, and the addresses
	asked   int      // how often run was told to stop
	repeat  Repeat
	idle    time.Duration // since when nothing works
}

// Run runs the command whenever the agent is the goose, until the command ends by itself, a
// signal arrives or ctx ends. It returns the exit code, and an error if the agent refuses or
// is not the goose within Try, or if no guard can be started.
func Run(ctx context.Context, opts Options) (code int, err error) {
	b, err := newSubtree()
	if err != nil {
		return 1, err
	}
	defer b.close()
	raisePriority(b.thread)
	r := &runner{opts: opts, subtree: b, left: b, idle: boottime.Now()}
	if opts.Device != "" {
		a, err := newAddresses(opts.Device, opts.Addresses)
		if err != nil {
			return 1, err
		}
		defer a.close()
		r.left = remains{b, a}
	}
	if b.cgroup, err = newCgroup(); err == nil {
		b.into = b.cgroup.guard()
		defer b.cgroup.remove()
	}
	m, err := newManaged(opts.Container, opts.Unit, opts.Grace, r.note)
	if err != nil {
		return 1, err
	}
	if r.managed = m; m != nil {
		release, err := m.claim()
		if err != nil {
			return 1, err
		}
		defer release()
	}
	if wait := r.jitter(); wait > 0 && !r.rest(ctx, wait) {
		return CodeStopped, nil
	}
	r.idle = boottime.Now()
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		began := time.Now()
		w, err := r.startGuard()
		if err != nil {
			return 1, err
		}
		end := r.watch(ctx, w)
		switch {
		case r.asked > 0 || ctx.Err() != nil:
			return CodeStopped, nil
		case w.code != nil:
			return *w.code, nil
		case w.gaveUp && w.begun && opts.onlyOnce(): // CMD began just as Try was over
			return CodeNotGoose, errors.New(lead.StoppedEarly)
		case w.notGoose != "":
			return CodeNotGoose, errors.New(w.notGoose)
		case w.failed != nil:
			return 1, w.failed
		}
		if !w.spoke && b.cgroup != nil {
			r.leaveCgroup() // Linux 6.14 and later kill everything that a process of a killed cgroup starts, wherever
		}
		if w.begun && opts.onlyOnce() {
			r.note("the guard has ended (%s): its work was ended%s", end, w.spare)
			return CodeNotGoose, errors.New(lead.StoppedEarly)
		}
		r.note("the guard has ended (%s): its work was ended%s; another one starts", end, w.spare)
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		if began.Add(firstBackoff).After(time.Now()) && !r.rest(ctx, backoff) {
			return CodeStopped, nil
		}
	}
}

// jitter returns how long to wait before run asks for the slot: a random time within it.
func (r *runner) jitter() time.Duration {
	most := r.opts.Jitter
	if slot := r.opts.Slot; slot > 0 {
		most = min(most, slot-time.Duration(Now().UnixNano()%int64(slot)))
	}
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// rest waits; false: told to stop.
func (r *runner) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-r.opts.Signals:
	}
	return false
}

// leaveCgroup gives up this run's cgroup.
func (r *runner) leaveCgroup() {
	r.subtree.cgroup.remove()
	r.subtree.cgroup, r.subtree.into = nil, nil
}

// watch serves one guard until it and all its descendants are gone, and says how it ended.
func (r *runner) watch(ctx context.Context, w *guardState) string {
	defer w.link.close()
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	done, reports := ctx.Done(), w.reports
	for {
		tick.Reset(min(w.next(), max(r.patience(w), time.Millisecond)))
		select {
		case m, ok := <-reports:
			if ok {
				r.hear(w, m)
				break
			}
			reports = nil
			select { // the guard is ending; killAll makes the kernel drop its status
			case status := <-w.exit:
				r.killAll(w)
				return endOf(status)
			case <-time.After(statusWait):
				r.killAll(w)
			}
		case sig := <-r.opts.Signals:
			if !r.repeat.Of(sig, time.Now()) {
				r.stop(w)
			}
		case <-done:
			done = nil
			r.stop(w)
		case <-tick.C:
			for range len(reports) { // its messages come before any verdict on its silence
				r.hear(w, <-reports)
			}
			if r.patience(w) <= 0 {
				r.giveUp(w)
			}
			if left := w.left(); w.hung() {
				r.killAll(w)
				r.note("the guard did not answer; killed with %v left", left)
			}
		case status := <-w.exit:
			r.killAll(w)
			return endOf(status)
		}
	}
}

// statusWait is how long a guard that has closed its link may take to end.
const statusWait = 5 * time.Millisecond

// killAll kills the guard and everything that it ran, and reads the guard's last messages: one
// may report that a manager is starting something.
func (r *runner) killAll(w *guardState) {
	if w.allGone {
		return
	}
	w.allGone = true
	if r.managed != nil {
		r.managed.doubt() // a dead guard cannot kill it
		r.managed.kill()
	}
	killUntilGone(r.left, func() {})
	started := false
	for m := range w.reports { // this ends: no process is left that holds the link open
		started = started || m.Traces != nil
		r.hear(w, m)
	}
	if r.managed != nil {
		if started {
			r.managed.doubt()
		}
		killUntilGone(r.managed, func() {})
	}
	if w.working {
		w.working, r.idle = false, boottime.Now()
		w.spare = fmt.Sprintf("; all was gone with %v of the lease left", w.left())
	}
}

// note writes a message for people.
func (r *runner) note(format string, args ...any) {
	fmt.Fprintf(r.opts.Messages, "ddgoose: "+r.opts.Name+": "+format+"\n", args...)
}

// stop tells the guard to end; the third call kills it.
func (r *runner) stop(w *guardState) {
	if r.asked++; r.asked > 2 {
		r.killAll(w)
		return
	}
	w.link.say(order{Stop: true, Now: r.asked > 1})
}

// overtime is how long after the time of Try, or [lead.SilentTry], run gives up. Normally the
// guard gives up before that, and knows the reason.
const overtime = 3 * time.Second

// limit returns how long run waits for work to begin before it gives up, even if agent and
// guard are silent.
func (r *runner) limit() time.Duration { return max(*r.opts.Try, lead.SilentTry) + overtime }

// patience returns how long until this run gives up.
func (r *runner) patience(w *guardState) time.Duration {
	switch {
	case r.opts.Try == nil || w.working || w.allGone:
		return math.MaxInt64
	case w.gaveUp:
		return r.idle + r.limit() + overtime - boottime.Now()
	}
	return r.idle + r.limit() - boottime.Now()
}

// giveUp tells the guard that Try is over. A guard that does not end then is killed.
func (r *runner) giveUp(w *guardState) {
	if w.gaveUp {
		r.killAll(w)
		return
	}
	w.gaveUp = true
	w.notGoose = cmp.Or(w.notGoose, fmt.Sprintf("the command could not begin within %v; ddgoose why may tell the reason", r.limit()))
	w.link.say(order{Stop: true, Now: true})
}

func (r *runner) hear(w *guardState, m report) {
	w.hear(m)
	if m.Working != nil {
		r.idle = boottime.Now()
	}
	if m.Traces != nil && r.managed != nil {
		r.managed.learn(*m.Traces)
	}
}
