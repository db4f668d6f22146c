package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
)

// The reasons why a guard stops its work, besides those of package lead.
var (
	errStop    = errors.New("run was told to stop")
	errRunGone = errors.New("run is gone")
)

// guard is the process between the agent and CMD.
type guard struct {
	hello
	actor  actor
	stderr io.Writer
	link   *link
	client *client.Client
	late   *lateness
	until  atomic.Int64 // the end of the agent's lease by the boot clock
	kills  killTimes
	heard  chan struct{} // capacity 1: run has said something
	hurry  chan struct{} // capacity 1: the grace may be over

	mu struct { // guards what follows
		sync.Mutex
		session *echoed // nil: none
		now     bool    // stop without grace
	}

	// Only the session's goroutine touches these.
	kill  string // when the last one was, for people
	code  *int   // of CMD, which ended by itself
	begun bool   // CMD has, or will have
	// last is what ends this guard though CMD has not ended by itself; nil: nothing yet.
	last *report
	over context.CancelFunc // ends the session: CMD does not begin from then on
}

// Guard is the main function of a guard process: it serves the run at the other end of
// LinkFD, and returns the exit code. Everything that run must know goes over the link.
// stderr is for people, and must never block.
func Guard(argv []string, stderr io.Writer) int {
	unix.CloseOnExec(LinkFD)
	l, err := newLink(os.NewFile(LinkFD, "link"))
	if err != nil {
		fmt.Fprintf(stderr, "ddgoose: guard: %v (ddgoose run starts it)\n", err)
		return 1
	}
	defer l.close()
	g := &guard{stderr: stderr, link: l, late: &lateness{clock: boottime.Now}, heard: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	g.late.seen = g.kills.seen
	g.late.guess = func() time.Duration { return g.actor.killTime(g.kills.guess) }
	var first order
	if err := l.hear(&first); err != nil || first.Hello == nil {
		return 1 // run is gone
	}
	g.hello = *first.Hello
	if g.actor, err = g.newActor(argv); err != nil {
		l.sayLast(failure(err))
		return 1
	}
	g.client = client.New(g.Socket).Election(g.Election)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var ended sync.WaitGroup
	ended.Go(func() { g.listen(cancel) })
	if m, is := g.actor.(*managed); is {
		tick := time.NewTicker(unwantedPause)
		defer tick.Stop()
		ended.Go(func() { m.killUnwanted(ctx, tick.C) })
	}
	defer ended.Wait()
	defer cancel(nil) // ends killUnwanted
	defer l.close()   // wakes listen
	defer g.heed(cancel)()
	g.serve(ctx)
	return 0
}

// newActor makes the actor. It lives as long as this process.
func (g *guard) newActor(argv []string) (actor, error) {
	if g.Device != "" {
		raisePriority(0)
		return newAddresses(g.Device, g.Addresses)
	}
	if m, err := newManaged(g.Container, g.Unit, g.Grace, g.note); m != nil || err != nil {
		raisePriority(0)
		if err == nil {
			m.found = func(t traces) { g.link.say(report{Traces: &t}) }
		}
		return m, err
	}
	b, err := newSubtree()
	if err != nil {
		return nil, err
	}
	raisePriority(b.thread)
	if g.Cgroup != "" {
		b.cgroup = (&cgroup{g.Cgroup}).work()
		b.into = b.cgroup
	} else if os.Geteuid() != 0 {
		b.keepUser()
	}
	return &command{b, argv}, nil
}

// heed treats a signal as an order to stop. Other signals, which a terminal sends, are
// caught and have no effect. To ignore them would be wrong: CMD would inherit that.
func (g *guard) heed(cancel context.CancelCauseFunc) (stop func()) {
	ends, dull := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ends, StopSignals()...)
	signal.Notify(dull, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	done := make(chan struct{})
	go func() {
		select {
		case <-ends:
			cancel(errStop)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(ends)
		signal.Stop(dull)
		close(done)
	}
}

// listen reads from run until run is gone or this process ends.
func (g *guard) listen(cancel context.CancelCauseFunc) {
	for {
		var o order
		if err := g.link.hear(&o); err != nil {
			cancel(errRunGone)
			return
		}
		g.mu.Lock()
		session := g.mu.session
		g.mu.now = g.mu.now || o.Now
		g.mu.Unlock()
		if o.Echo != nil && session != nil {
			session.hear(*o.Echo)
		}
		if o.Stop {
			cancel(errStop)
			tell(g.hurry)
		}
		tell(g.heard)
	}
}

// serve holds sessions until CMD has ended by itself, or ctx has.
func (g *guard) serve(ctx context.Context) {
	for ctx.Err() == nil {
		opts := client.HoldOptions{Heirs: true, Share: g.Share, Kind: g.Kind, Grace: min(g.Grace+cleanupTime, api.MaxGrace), Patient: true}
		g.actor.describe(&opts)
		s := g.client.Hold(opts)
		var session context.Context
		session, g.over = context.WithCancel(ctx)
		err := g.lead(session, s)
		g.over()
		switch {
		case g.code != nil:
			g.link.sayLast(report{Code: g.code})
			return
		case g.last != nil:
			g.link.sayLast(*g.last)
			return
		case ctx.Err() != nil:
			return
		case g.begun && g.onlyOnce():
			g.link.sayLast(report{NotGoose: lead.StoppedEarly})
			return
		case errors.Is(err, lead.ErrNotGoose):
			g.link.sayLast(report{NotGoose: err.Error()})
			return
		case s.Refusal() != nil:
			g.link.sayLast(failure(s.Refusal()))
			return
		case g.late.hopeless():
			g.note("work here took up to %v to end, too long for the lease (--lease): waiting until this machine is faster", (g.late.needs() + g.late.seen()).Round(time.Millisecond))
			for ctx.Err() == nil && g.late.hopeless() {
				pause(ctx, 200*time.Millisecond)
			}
		case errors.Is(err, lead.ErrStopped): // run has become silent
			select {
			case <-g.heard:
			case <-ctx.Done():
			}
		}
	}
}

// lead runs the work of one session, and closes it.
func (g *guard) lead(ctx context.Context, s *client.Session) error {
	defer s.Close()
	e := newEchoed(s, g.late, func(d deadline) { g.link.say(report{Deadline: &d}) })
	e.keep, e.spare, e.bound = g.Keep, func() bool { return g.last != nil }, &g.until
	defer e.close()
	g.mu.Lock()
	g.mu.session = e
	g.mu.Unlock()
	select {
	case <-g.heard: // listen has read it before
	default:
	}
	return lead.Run(ctx, earlySession{e, g}, boottime.Now, func(ctx context.Context, l lead.Lease) error {
		return g.work(ctx, l, e.length())
	}, g.options()...)
}

func (g *guard) options() (opts []lead.Option) {
	if !g.Quiet {
		opts = append(opts, lead.OnWait(func(w api.Waiting) { g.note("waiting: %v", w) }))
	}
	if g.Try != nil {
		opts = append(opts, lead.Try(*g.Try))
	}
	if g.Keep {
		opts = append(opts, lead.Keep())
	}
	return opts
}

// note writes a message for people.
func (g *guard) note(format string, args ...any) {
	fmt.Fprintf(g.stderr, "ddgoose: "+g.Name+": "+format+"\n", args...)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
