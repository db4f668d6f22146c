package run

import (
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

// silence is the part of a lease after which an echo is overdue: 40 % are left then.
const silence = 1 - termLeft

// echoed is a session whose deadlines count only after run has echoed them. At most one
// is on its way, so a run that was stopped finds one packet and not a thousand.
type echoed struct {
	lead.Session
	say   func(deadline) // to run
	keep  bool           // never step down
	spare func() bool    // reports that no work has begun, so that no step-down is needed; nil: always false
	bound *atomic.Int64  // gets the end of the agent's lease, echoed or not; nil: not needed
	clock func() time.Duration
	late  *lateness
	ready chan struct{} // capacity 1
	done  chan struct{} // closed when the session is closed, or run has become silent
	over  chan struct{} // closed by close
	wg    sync.WaitGroup

	// Only the goroutine that calls Next and Drained touches these.
	latest deadline       // from the agent, not yet sent to run
	stop   *api.LeadEvent // comes after latest
	told   uint64         // the token of the last deadline that Next returned; 0: it was drained
	timer  *time.Timer    // wakes when an echo is overdue

	mu struct { // guards what follows
		sync.Mutex
		asked   deadline // on its way; zero: none
		askedAt time.Duration
		echo    deadline // from run, not yet taken
		overdue bool     // Next has returned the stop for a missing or late echo
		length  time.Duration
	}
}

func newEchoed(s lead.Session, late *lateness, say func(deadline)) *echoed {
	e := &echoed{
		Session: s, say: say, clock: late.clock, late: late,
		ready: make(chan struct{}, 1), done: make(chan struct{}), over: make(chan struct{}),
	}
	e.timer = time.AfterFunc(time.Hour, e.wake)
	e.wg.Go(e.forward)
	return e
}

var _ lead.Session = (*echoed)(nil)

// forward merges what comes from the agent and from run.
func (e *echoed) forward() {
	for {
		select {
		case <-e.Session.Ready():
			e.wake()
		case <-e.Session.Done():
			e.finish()
			return
		case <-e.over:
			return
		}
	}
}

func (e *echoed) wake() { tell(e.ready) }

// finish ends the session, once.
func (e *echoed) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.done:
	default:
		close(e.done)
	}
}

func (e *echoed) Ready() <-chan struct{} { return e.ready }
func (e *echoed) Done() <-chan struct{}  { return e.done }

// Next returns a deadline that run has echoed, then a stop: the stop comes after the
// deadline that it ends.
func (e *echoed) Next() (api.LeadEvent, bool) {
	for e.stop == nil {
		ev, ok := e.Session.Next()
		if !ok {
			break
		}
		if ev.Waiting != nil {
			return ev, true
		}
		if ev.Stop != "" {
			e.stop = &ev
		} else if ev.Token != 0 {
			length := time.Duration(ev.Lease)
			e.latest = deadline{ev.Token, time.Duration(ev.Until), length, e.late.sooner(length)}
			if e.bound != nil {
				e.bound.Store(ev.Until)
			}
		}
	}
	if d := e.take(); d.Token != 0 {
		return api.LeadEvent{Token: d.Token, Until: int64(d.Until), Lease: int64(d.Length)}, true
	}
	if s := e.stop; s != nil {
		e.stop = nil
		return *s, true
	}
	return api.LeadEvent{}, false
}

// take returns the deadline that Next must return, and sends run the following one.
func (e *echoed) take() (d deadline) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop == nil && !e.mu.overdue && (e.waited(silence) || e.late.hopeless()) {
		e.mu.overdue = true
		e.stop = &api.LeadEvent{Token: e.mu.asked.Token, Stop: api.StopLost}
	}
	d, e.mu.echo = e.mu.echo, deadline{}
	if e.stop != nil { // the reader must know the deadline that it ends
		switch {
		case e.latest.Token != 0:
			d = e.latest
		case d.Token == 0:
			d = e.mu.asked
		}
		e.latest = deadline{}
		if d.Token == e.told {
			d = deadline{}
		}
	} else if e.latest.Token != 0 && e.mu.asked.Token == 0 {
		e.mu.asked, e.mu.askedAt = e.latest, e.clock()
		e.latest = deadline{}
		e.say(e.mu.asked)
		e.timer.Reset(share(e.mu.asked.Length, silence))
	}
	if d.Token != 0 {
		e.told, e.mu.length = d.Token, d.Length
	}
	return d
}

// waited reports whether run has owed an echo for this part of a lease. The caller holds
// the lock.
func (e *echoed) waited(part float64) bool {
	return e.mu.asked.Token != 0 && e.clock()-e.mu.askedAt >= share(e.mu.asked.Length, part)
}

// hear takes an echo from run.
func (e *echoed) hear(d deadline) {
	e.mu.Lock()
	if d == e.mu.asked {
		if took := e.clock() - e.mu.askedAt; took < share(d.Length, silence) { // else run was silent, perhaps stopped
			e.late.saw(took, d.Length)
		}
		e.mu.echo, e.mu.asked, e.mu.overdue = d, deadline{}, false
	}
	e.mu.Unlock()
	e.wake()
}

// Drained forgets earlier deadlines. If run is silent or this machine is too slow, the
// agent must hand over, because no work can run here.
func (e *echoed) Drained(token uint64, then api.Then) {
	e.latest, e.stop, e.told = deadline{}, nil, 0
	e.mu.Lock()
	e.mu.echo = deadline{}
	silent := e.waited(silence / 2)
	if !silent {
		e.mu.asked = deadline{} // its echo would be about an old deadline
	}
	e.mu.Unlock()
	unable := silent || e.late.hopeless()
	if unable && !e.keep {
		then = api.ThenStepDown
	}
	if then == api.ThenStepDown && !unable && e.spare != nil && e.spare() {
		then = api.ThenLeave // another run at this goose may work in the next slot
	}
	e.Session.Drained(token, then)
	if unable {
		e.finish()
	}
}

// length is that of a whole lease.
func (e *echoed) length() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.length
}

func (e *echoed) close() {
	close(e.over)
	e.timer.Stop()
	e.wg.Wait()
}
