package lead

import (
	"cmp"
	"context"
	"math"
	"time"

	"duckduckgoose/agent/api"
)

// Run calls work once for each time the session hands out a token, never twice at
// once, until work returns by itself, ctx ends, or the session is done. It gives
// work's own error, ctx.Err(), or ErrStopped; it never returns while work runs.
// clock is the clock that the session's deadlines are counted by. The caller
// closes the session afterwards.
//
// Work runs on the caller's goroutine, so a panic in it keeps its stack; the
// agent has been told to step down before the panic goes on.
func Run(ctx context.Context, s Session, clock func() time.Duration, work func(context.Context, Lease) error) error {
	r := &runner{
		ctx: ctx, s: s, clock: clock,
		begin: make(chan *job), returned: make(chan *job), ended: make(chan struct{}),
	}
	go func() {
		defer close(r.ended)
		r.err = r.supervise()
	}()
	defer func() { <-r.ended }()
	for {
		select {
		case j := <-r.begin:
			r.call(j, work)
		case <-r.ended:
			return r.err
		}
	}
}

// runner supervises work from a goroutine of its own, which owns offer and job.
type runner struct {
	ctx   context.Context
	s     Session
	clock func() time.Duration

	begin    chan *job
	returned chan *job
	ended    chan struct{}
	err      error // valid when ended is closed

	offer offer
	job   *job // nil: none runs
}

// offer is what the session hands out and has not been told to be drained.
type offer struct {
	token  uint64
	until  time.Duration
	length time.Duration
}

func (r *runner) call(j *job, work func(context.Context, Lease) error) {
	j.panicked = true
	defer func() { r.returned <- j }()
	j.err = work(j.ctx, j.lease)
	j.panicked = false
}

func (r *runner) supervise() error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	callerEnds, sessionEnds := r.ctx.Done(), r.s.Done()
	over := false
	for {
		// Hear everything before judging by time: a process that was paused
		// must not take for lost what was renewed meanwhile.
		for e, ok := r.s.Next(); ok; e, ok = r.s.Next() {
			if e.Stop != "" {
				r.hearStop(e)
			} else if e.Token != 0 {
				r.hearDeadline(e)
			}
		}
		if r.job == nil {
			switch {
			case r.ctx.Err() != nil:
				r.drain(false)
				return r.ctx.Err()
			case over:
				return ErrStopped
			}
			r.startIfMay()
		}
		r.judge()
		timer.Reset(r.rest())
		select {
		case <-r.s.Ready():
		case <-timer.C:
		case j := <-r.returned:
			if finished, err := r.finish(j); finished {
				return err
			}
		case <-callerEnds:
			callerEnds = nil
			if r.job != nil {
				r.job.cancel(context.Cause(r.ctx))
			}
		case <-sessionEnds:
			sessionEnds, over = nil, true
		}
	}
}

func (r *runner) hearDeadline(e api.LeadEvent) {
	o := offer{token: e.Token, until: time.Duration(e.Until), length: time.Duration(e.Lease)}
	if o.length == 0 {
		// The agent does not say: what it hands out at first is the nearest to it.
		o.length = o.until - r.clock()
		if r.offer.token == o.token {
			o.length = max(o.length, r.offer.length)
		}
	}
	r.offer = o
	switch j := r.job; {
	case j == nil:
	case j.lease.token == o.token:
		j.lease.renew(o.until)
		j.length = o.length
	default: // a new period: the one worked for is over
		j.lease.end()
		j.cancel(ErrLeaseLost)
	}
}

func (r *runner) hearStop(e api.LeadEvent) {
	if j := r.job; j != nil && (e.Token == 0 || e.Token == j.lease.token) {
		j.cancel(cmp.Or(causes[e.Stop], ErrLeaseLost))
		return
	}
	if e.Token == 0 || e.Token == r.offer.token {
		r.drain(false) // handed out, and nothing was begun by it
	}
}

var causes = map[string]error{api.StopSteppedDown: ErrSteppedDown, api.StopStopped: ErrStopped}

// drain says that nothing acts by what was handed out.
func (r *runner) drain(stepDown bool) {
	if token := r.offer.token; token != 0 {
		r.offer = offer{}
		r.s.Drained(token, stepDown)
	}
}

// startIfMay begins work, unless so little of the lease is left that it would
// be cancelled at once.
func (r *runner) startIfMay() {
	o := r.offer
	if o.token == 0 || o.until-r.clock() <= threshold(o.length) {
		return
	}
	l := &lease{token: o.token, clock: r.clock}
	l.renew(o.until)
	j := &job{lease: l, length: o.length}
	j.ctx, j.end = context.WithCancelCause(r.ctx)
	r.job = j
	r.begin <- j // Run waits for it, as nothing else runs
}

// judge cancels work whose lease runs out, and reports it when it goes on past that.
func (r *runner) judge() {
	j := r.job
	if j == nil {
		return
	}
	left := j.lease.Until()
	if left <= threshold(j.length) {
		j.cancel(ErrLeaseLost)
	}
	if left <= 0 && !j.late {
		j.late = true
		r.s.Late(j.lease.token)
	}
}

// rest is how long to sleep when nothing is heard. Timers stand still while
// the machine sleeps and the boot clock does not, so it is at most a tenth of
// a lease: work is told that soon after the machine wakes.
func (r *runner) rest() time.Duration {
	j := r.job
	if j == nil || j.late {
		return math.MaxInt64
	}
	left := j.lease.Until()
	if !j.cancelled {
		left -= threshold(j.length)
	}
	return max(min(left, j.length/10), time.Microsecond)
}

// finish books the end of a call of work, and tells whether Run ends with it.
func (r *runner) finish(j *job) (finished bool, err error) {
	r.job = nil
	j.end(context.Canceled)
	j.lease.end()
	if r.offer.token == j.lease.token {
		r.offer = offer{}
	}
	switch {
	case j.panicked: // it goes on once the agent knows
	case r.ctx.Err() != nil:
		err = r.ctx.Err()
	case j.cancelled:
		r.s.Drained(j.lease.token, false)
		return false, nil
	default:
		err = j.err
	}
	r.drain(false) // of a later period, when there is one
	r.s.Drained(j.lease.token, true)
	return true, err
}
