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
	managed *managed // the container or unit; nil: CMD runs
	left    killable // what a dead guard may leave: the subtree, and the addresses
	asked   int      // how often run was told to stop
	repeat  Repeat
	idle    time.Duration // since when nothing works
}

// guardState is what run knows of one guard.
type guardState struct {
	pid     int
	link    *link
	exit    <-chan syscall.WaitStatus
	reports chan report // closed when the guard has closed the link

	allGone  bool // nothing is left of it
	working  bool
	begun    bool          // CMD has, or will have
	deadline deadline      // the newest
	heard    time.Duration // when the guard last said anything
	spoke    bool
	looked   time.Duration // when hung was last called
	code     *int          // CMD has ended by itself
	notGoose string        // the reason; "": the agent was the goose, or run still waits
	gaveUp   bool          // the guard was told that Try is over
	failed   error
	spare    string // for people, after an end during its work: the time left; "": unknown
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

func (r *runner) startGuard() (*guardState, error) {
	l, theirs, err := newPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{r.opts.Stdin.Fd(), r.opts.Stdout.Fd(), r.opts.Stderr.Fd(), theirs.Fd()},
		// A session of its own: a terminal's signals go to run alone, and the kernel shares
		// the processors among sessions first.
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	pid, exit, err := r.subtree.startNow("/proc/self/exe", r.opts.Guard, attr)
	if err != nil && r.subtree.cgroup != nil { // the cgroup exists, but processes cannot start in it
		r.leaveCgroup()
		attr.Sys.UseCgroupFD = false
		pid, exit, err = r.subtree.startNow("/proc/self/exe", r.opts.Guard, attr)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	w := &guardState{pid: pid, link: l, exit: exit, reports: make(chan report, 16), heard: boottime.Now()}
	l.say(order{Hello: &hello{Work: r.opts.Work, Cgroup: r.subtree.cgroup.path()}})
	go w.listen()
	return w, nil
}

// leaveCgroup gives up this run's cgroup.
func (r *runner) leaveCgroup() {
	r.subtree.cgroup.remove()
	r.subtree.cgroup, r.subtree.into = nil, nil
}

// listen passes on the guard's messages until the guard is gone.
func (w *guardState) listen() {
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

func (w *guardState) hear(m report) {
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

// next returns how long until hung must be called.
func (w *guardState) next() time.Duration {
	if !w.working {
		return time.Hour
	}
	return w.deadline.judged(boottime.Now(), w.heard)
}

// left returns how much of the lease is left.
func (w *guardState) left() time.Duration {
	return (w.deadline.Until - boottime.Now()).Round(time.Millisecond)
}

// heirs returns when run takes over from a silent guard.
func (d deadline) heirs() time.Duration { return d.Until - share(d.Length, heirsLeft) - d.Sooner }

// judged returns how long until a guard whose last message came at heard counts as dead.
func (d deadline) judged(now, heard time.Duration) time.Duration {
	return max(min(d.Length/20, max(d.heirs(), heard+d.Length/10)-now), time.Millisecond)
}

// hung reports whether the guard counts as dead: its work should have been killed by now, and
// the guard is silent. A run that was itself paused first reads the messages that arrived
// meanwhile.
func (w *guardState) hung() bool {
	now, d := boottime.Now(), w.deadline
	late := now-w.looked > d.Length/5
	w.looked = now
	return w.working && !late && now >= d.heirs() && now-w.heard > d.Length/10
}
