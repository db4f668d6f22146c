package run

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
)

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

// takeover returns when run takes over from a silent guard.
func (d deadline) takeover() time.Duration { return d.Until - share(d.Length, takeoverLeft) - d.Sooner }

// judged returns how long until a guard whose last message came at heard counts as dead.
func (d deadline) judged(now, heard time.Duration) time.Duration {
	return max(min(d.Length/20, max(d.takeover(), heard+d.Length/10)-now), time.Millisecond)
}

// hung reports whether the guard counts as dead: its work should have been killed by now, and
// the guard is silent. A run that was itself paused first reads the messages that arrived
// meanwhile.
func (w *guardState) hung() bool {
	now, d := boottime.Now(), w.deadline
	late := now-w.looked > d.Length/5
	w.looked = now
	return w.working && !late && now >= d.takeover() && now-w.heard > d.Length/10
}
