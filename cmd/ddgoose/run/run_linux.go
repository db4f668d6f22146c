package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/lead"
)

// runner is the process that a person or a service manager started.
type runner struct {
	opts    Options
	subtree *subtree
	managed *managed // what is run by its manager; nil: CMD is
	left    mortal   // all that a dead guard may leave: subtree, and the addresses
	asked   int      // to stop, how often
	repeat  Repeat
	idle    time.Duration // since when nothing works
}

// warden is run's view of one guard.
type warden struct {
	pid     int
	link    *link
	exit    <-chan syscall.WaitStatus
	reports chan report // closed when the guard has closed the link

	buried   bool // nothing is left of it
	working  bool
	begun    bool          // CMD has, or will have
	deadline deadline      // the newest
	heard    time.Duration // when the guard last said anything
	spoke    bool
	looked   time.Duration // when that was last judged
	code     *int          // CMD has ended by itself
	notGoose string        // why; "": it was, or is waited for
	gaveUp   bool          // the guard was told that Try is over
	failed   error
	spare    string // for people, when it ended during its work; "": unknown
}

// Run runs the command whenever the agent is the goose, until it ends by
// itself, a signal comes or ctx ends. It gives the exit code; an error when the
// agent is not the goose within Try, refuses, or no guard can be started.
func Run(ctx context.Context, opts Options) (code int, err error) {
	b, err := newSubtree()
	if err != nil {
		return 1, err
	}
	defer b.close()
	hasten(b.thread)
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
		case w.gaveUp && w.begun && opts.onlyOnce(): // it began when Try was over
			return CodeNotGoose, errors.New(lead.StoppedEarly)
		case w.notGoose != "":
			return CodeNotGoose, errors.New(w.notGoose)
		case w.failed != nil:
			return 1, w.failed
		}
		if !w.spoke && b.cgroup != nil {
			r.leaveCgroup() // Linux 6.14 and later kill what a process starts elsewhere once its own cgroup was killed
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

// jitter is how long to wait before the slot is asked for: a random time, within the slot.
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

func (r *runner) startGuard() (*warden, error) {
	l, theirs, err := newPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{r.opts.Stdin.Fd(), r.opts.Stdout.Fd(), r.opts.Stderr.Fd(), theirs.Fd()},
		// A session of its own: what a terminal sends is for run alone, and the kernel
		// shares processors out among sessions first.
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	pid, exit, err := r.subtree.startNow("/proc/self/exe", r.opts.Guard, attr)
	if err != nil && r.subtree.cgroup != nil { // its folder can be made, and nothing be started in it
		r.leaveCgroup()
		attr.Sys.UseCgroupFD = false
		pid, exit, err = r.subtree.startNow("/proc/self/exe", r.opts.Guard, attr)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	w := &warden{pid: pid, link: l, exit: exit, reports: make(chan report, 16), heard: boottime.Now()}
	l.say(order{Hello: &hello{Work: r.opts.Work, Cgroup: r.subtree.cgroup.path()}})
	go w.listen()
	return w, nil
}

// leaveCgroup makes this run do without its cgroup.
func (r *runner) leaveCgroup() {
	r.subtree.cgroup.remove()
	r.subtree.cgroup, r.subtree.into = nil, nil
}

// listen passes on what the guard says until it is gone.
func (w *warden) listen() {
	defer close(w.reports)
	for {
		var m report
		if w.link.hear(&m) != nil {
			return
		}
		if m.Deadline != nil {
			w.link.say(order{Echo: m.Deadline})
		}
		w.reports <- m
	}
}

// watch serves one guard until it and all below it are gone, and says how it ended.
func (r *runner) watch(ctx context.Context, w *warden) string {
	defer w.link.close()
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	done, reports := ctx.Done(), w.reports
	for {
		tick.Reset(min(w.next(), max(r.patience(w), time.Millisecond)))
		select {
		case m, ok := <-reports:
			if !ok { // the guard is gone, though nobody may have told of its end yet
				reports = nil
				r.bury(w)
				break
			}
			r.hear(w, m)
		case sig := <-r.opts.Signals:
			if !r.repeat.Of(sig, time.Now()) {
				r.stop(w)
			}
		case <-done:
			done = nil
			r.stop(w)
		case <-tick.C:
			for range len(reports) { // what it has said goes before what it has not
				r.hear(w, <-reports)
			}
			if r.patience(w) <= 0 {
				r.giveUp(w)
			}
			if left := w.left(); w.hung() {
				r.bury(w)
				r.note("the guard did not answer; killed with %v left", left)
			}
		case status := <-w.exit:
			r.bury(w)
			if status.Signaled() {
				return status.Signal().String()
			}
			return fmt.Sprintf("exit code %d", status.ExitStatus())
		}
	}
}

// bury kills the guard and all that it ran, and hears the guard's last words: of a start of
// what a manager runs, perhaps.
func (r *runner) bury(w *warden) {
	if w.buried {
		return
	}
	w.buried = true
	if r.managed != nil {
		r.managed.doubt() // a dead guard kills nothing
		r.managed.kill()
	}
	bury(r.left, func() {})
	started := false
	for m := range w.reports { // nobody is left who could hold the link open
		started = started || m.Traces != nil
		r.hear(w, m)
	}
	if r.managed != nil {
		if started {
			r.managed.doubt()
		}
		bury(r.managed, func() {})
	}
	if w.working {
		w.working, r.idle = false, boottime.Now()
		w.spare = fmt.Sprintf("; all was gone with %v of the lease left", w.left())
	}
}

// note tells people something.
func (r *runner) note(format string, args ...any) {
	fmt.Fprintf(r.opts.Messages, "ddgoose: "+r.opts.Name+": "+format+"\n", args...)
}

// stop tells the guard to end; the third time it does not ask.
func (r *runner) stop(w *warden) {
	if r.asked++; r.asked > 2 {
		r.bury(w)
		return
	}
	w.link.say(order{Stop: true, Now: r.asked > 1})
}

// overtime is what Try may take beyond its own time or [lead.SilentTry]. Before that, the
// guard gives up, and knows why.
const overtime = 3 * time.Second

// limit is how long nothing may work before this run gives up, whatever agent and guard
// say or do not say.
func (r *runner) limit() time.Duration { return max(*r.opts.Try, lead.SilentTry) + overtime }

// patience is how long until this run gives up.
func (r *runner) patience(w *warden) time.Duration {
	switch {
	case r.opts.Try == nil || w.working || w.buried:
		return math.MaxInt64
	case w.gaveUp:
		return r.idle + r.limit() + overtime - boottime.Now()
	}
	return r.idle + r.limit() - boottime.Now()
}

// giveUp tells the guard that Try is over. A guard that does not end then is killed.
func (r *runner) giveUp(w *warden) {
	if w.gaveUp {
		r.bury(w)
		return
	}
	w.gaveUp = true
	w.notGoose = cmp.Or(w.notGoose, fmt.Sprintf("the command could not begin within %v; ddgoose why may tell the reason", r.limit()))
	w.link.say(order{Stop: true, Now: true})
}

func (r *runner) hear(w *warden, m report) {
	w.hear(m)
	if m.Working != nil {
		r.idle = boottime.Now()
	}
	if m.Traces != nil && r.managed != nil {
		r.managed.learn(*m.Traces)
	}
}

func (w *warden) hear(m report) {
	w.heard, w.spoke = boottime.Now(), true
	switch {
	case m.Deadline != nil:
		w.deadline = *m.Deadline
	case m.Working != nil:
		w.working = *m.Working
		w.begun = w.begun || w.working
	case m.Code != nil:
		w.code = m.Code
	case m.NotGoose != "":
		w.notGoose = m.NotGoose
	case m.Failed != "":
		w.failed = &api.Failure{Kind: api.ErrConflict, Code: m.Refusal, Text: m.Failed}
	}
}

// next is how long until the guard is to be judged.
func (w *warden) next() time.Duration {
	if !w.working {
		return time.Hour
	}
	return w.deadline.judged(boottime.Now(), w.heard)
}

// left is how much of the lease is left.
func (w *warden) left() time.Duration {
	return (w.deadline.Until - boottime.Now()).Round(time.Millisecond)
}

// heirs is when run takes over from a guard that says nothing.
func (d deadline) heirs() time.Duration { return d.Until - share(d.Length, heirsLeft) - d.Sooner }

// judged gives how long until a guard that was last heard at heard may be taken for dead.
func (d deadline) judged(now, heard time.Duration) time.Duration {
	return max(min(d.Length/20, max(d.heirs(), heard+d.Length/10)-now), time.Millisecond)
}

// hung tells whether the guard must be taken for dead: its work should have
// been killed by now, and it says nothing. Who was paused itself does not
// judge before it has heard what came meanwhile.
func (w *warden) hung() bool {
	now, d := boottime.Now(), w.deadline
	late := now-w.looked > d.Length/5
	w.looked = now
	return w.working && !late && now >= d.heirs() && now-w.heard > d.Length/10
}
