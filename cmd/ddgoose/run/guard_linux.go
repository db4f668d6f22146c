package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
)

// Why a guard stops its work, beside the reasons of package lead.
var (
	errStop    = errors.New("run was told to stop")
	errRunGone = errors.New("run is gone")
)

// guard is the process between the agent and CMD.
type guard struct {
	hello
	command []string
	stderr  io.Writer
	link    *link
	brood   *brood
	client  *client.Client
	voice   chan struct{} // capacity 1: run has said something

	mu struct { // guards what follows
		sync.Mutex
		session *echoed // nil: none
		now     bool    // stop without grace
	}

	code *int // of CMD, which ended by itself; only the session's goroutine
}

// Guard is the main function of a guard process: it serves the run at the other
// end of LinkFD, and gives the exit code. What must be known goes over the link;
// stderr, which must never block, is for people.
func Guard(command []string, stderr io.Writer) int {
	unix.CloseOnExec(LinkFD)
	l, err := newLink(os.NewFile(LinkFD, "link"))
	if err != nil {
		fmt.Fprintf(stderr, "ddgoose: guard: %v (ddgoose run starts it)\n", err)
		return 1
	}
	defer l.close()
	b, err := newBrood()
	if err != nil {
		l.say(failure(err))
		return 1
	}
	defer b.close()
	g := &guard{command: command, stderr: stderr, link: l, brood: b, voice: make(chan struct{}, 1)}
	var first order
	if err := l.hear(&first); err != nil || first.Hello == nil {
		return 1 // run is gone
	}
	g.hello = *first.Hello
	g.client = client.New(g.Socket).Election(g.Election)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var ended sync.WaitGroup
	ended.Go(func() { g.listen(cancel) })
	defer ended.Wait()
	defer l.close() // wakes listen
	defer g.heed(cancel)()
	g.serve(ctx)
	return 0
}

// heed takes a signal for an order to stop. Others, which a terminal sends, are
// caught so that they do nothing; CMD would inherit ignored ones.
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

// listen hears run until it is gone, or this process ends.
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
			tell(g.brood.changed) // the grace may be over
		}
		tell(g.voice)
	}
}

// serve holds sessions until CMD has ended by itself, or ctx has.
func (g *guard) serve(ctx context.Context) {
	for ctx.Err() == nil {
		s := g.hold(ctx)
		if s == nil {
			return
		}
		err := g.lead(ctx, s)
		switch {
		case g.code != nil:
			g.link.say(report{Code: g.code})
			return
		case ctx.Err() != nil:
			return
		case s.Refusal() != nil:
			g.link.say(failure(s.Refusal()))
			return
		case errors.Is(err, lead.ErrStopped): // run has fallen silent
			select {
			case <-g.voice:
			case <-ctx.Done():
			}
		}
	}
}

// hold opens a session, for ever; nil: ctx has ended, or the agent refuses.
func (g *guard) hold(ctx context.Context) *client.Session {
	for told := false; ; told = true {
		s, err := g.client.Hold(ctx, client.HoldOptions{Heirs: true, Share: g.Share, Grace: min(g.Grace+buryTime, api.MaxGrace)})
		switch {
		case err == nil:
			return s
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrInput), errors.Is(err, api.ErrForbidden), errors.Is(err, api.ErrNotFound), errors.Is(err, api.ErrMethod), errors.Is(err, os.ErrPermission):
			g.link.say(failure(err))
			return nil
		case !told:
			g.note("%v; waiting for it", err)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// lead runs the work of one session, and closes it.
func (g *guard) lead(ctx context.Context, s *client.Session) error {
	defer s.Close()
	e := newEchoed(s, boottime.Now, func(d deadline) { g.link.say(report{Deadline: &d}) })
	defer e.close()
	g.mu.Lock()
	g.mu.session = e
	g.mu.Unlock()
	select {
	case <-g.voice: // said before
	default:
	}
	return lead.Run(ctx, hasty{e, g.burial}, boottime.Now, func(ctx context.Context, l lead.Lease) error {
		return g.work(ctx, l, e.length())
	})
}

// note tells people something.
func (g *guard) note(format string, args ...any) {
	fmt.Fprintf(g.stderr, "ddgoose: run: "+format+"\n", args...)
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
