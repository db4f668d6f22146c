package run

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

// runner is the process that a person or a service manager started.
type runner struct {
	opts   Options
	brood  *brood
	asked  int // to stop, how often
	repeat Repeat
}

// warden is run's view of one guard.
type warden struct {
	pid     int
	link    *link
	exit    <-chan syscall.WaitStatus
	reports chan report // closed when the guard has closed the link

	working  bool
	deadline deadline      // the newest
	heard    time.Duration // when the guard last said anything
	looked   time.Duration // when that was last judged
	code     *int          // CMD has ended by itself
	failed   error
}

// Run runs the command whenever the agent is the goose, until it ends by
// itself, a signal comes or ctx ends. It gives the exit code; an error when the
// agent refuses or no guard can be started.
func Run(ctx context.Context, opts Options) (code int, err error) {
	b, err := newBrood()
	if err != nil {
		return 1, err
	}
	defer b.close()
	r := &runner{opts: opts, brood: b}
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
		case w.failed != nil:
			return 1, w.failed
		}
		fmt.Fprintf(opts.Messages, "ddgoose: run: the guard has ended (%s): all that it ran was killed; another one starts\n", end)
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		if began.Add(firstBackoff).After(time.Now()) && !r.rest(ctx, backoff) {
			return CodeStopped, nil
		}
	}
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
	pid, exit, err := r.brood.start("/proc/self/exe", r.opts.Guard, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{r.opts.Stdin.Fd(), r.opts.Stdout.Fd(), r.opts.Stderr.Fd(), theirs.Fd()},
		// A group of its own: what a terminal sends is for run alone.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		l.close()
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	w := &warden{pid: pid, link: l, exit: exit, reports: make(chan report, 16), heard: boottime.Now()}
	l.say(order{Hello: &hello{Socket: r.opts.Socket, Election: r.opts.Election, Grace: r.opts.Grace, Restart: r.opts.Restart, Share: r.opts.Share}})
	go w.listen()
	return w, nil
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
		select {
		case m, ok := <-reports:
			if !ok { // the guard is gone, though nobody may have told of its end yet
				reports = nil
				r.brood.kill(func() {})
				break
			}
			w.hear(m)
		case sig := <-r.opts.Signals:
			if !r.repeat.Of(sig, time.Now()) {
				r.stop(w)
			}
		case <-done:
			done = nil
			r.stop(w)
		case <-tick.C:
			for range len(reports) { // what it has said goes before what it has not
				w.hear(<-reports)
			}
			if w.hung() {
				r.brood.kill(func() {})
				fmt.Fprintln(r.opts.Messages, "ddgoose: run: the guard did not answer: all that it ran was killed")
			}
		case status := <-w.exit:
			r.brood.kill(func() {})
			for m := range w.reports {
				w.hear(m)
			}
			if status.Signaled() {
				return status.Signal().String()
			}
			return fmt.Sprintf("exit code %d", status.ExitStatus())
		}
		tick.Reset(w.next())
	}
}

// stop tells the guard to end; the third time it does not ask.
func (r *runner) stop(w *warden) {
	if r.asked++; r.asked > 2 {
		r.brood.kill(func() {})
		return
	}
	w.link.say(order{Stop: true, Now: r.asked > 1})
}

func (w *warden) hear(m report) {
	w.heard = boottime.Now()
	switch {
	case m.Deadline != nil:
		w.deadline = *m.Deadline
	case m.Working != nil:
		w.working = *m.Working
	case m.Code != nil:
		w.code = m.Code
	case m.Failed != "":
		w.failed = &api.Failure{Kind: api.ErrConflict, Code: m.Refusal, Text: m.Failed}
	}
}

// next is how long until the guard is to be judged.
func (w *warden) next() time.Duration {
	if !w.working {
		return time.Hour
	}
	return max(w.deadline.Length/20, time.Millisecond)
}

// hung tells whether the guard must be taken for dead: its work should have
// been killed by now, and it says nothing. Who was paused itself does not
// judge before it has heard what came meanwhile.
func (w *warden) hung() bool {
	now, d := boottime.Now(), w.deadline
	late := now-w.looked > d.Length/5
	w.looked = now
	return w.working && !late && now >= d.Until-share(d.Length, heirsLeft) && now-w.heard > d.Length/10
}
