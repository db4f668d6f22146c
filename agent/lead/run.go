package lead

import (
	"cmp"
	"context"
	"math"
	"time"

	"duckduckgoose/agent/api"
)

// Run calls work once for each time the session hands out a token, never twice at
// once, until work returns by itself, ctx ends, the session is done, or Try's time
// is over. It gives work's own error, ctx.Err(), ErrStopped or an ErrNotGoose; it
// never returns while work runs.
// clock is the clock that the session's deadlines are counted by. The caller
// closes the session afterwards.
//
// Work runs on the caller's goroutine, so a panic in it keeps its stack. The agent is
// told to step down before the panic continues.
func Run(ctx context.Context, s Session, clock func() time.Duration, work func(context.Context, Lease) error, opts ...Option) error {
	r := &runner{
		ctx: ctx, s: s, clock: clock, options: optionsOf(opts), since: clock(),
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

// runner supervises work from its own goroutine, which owns offer and job.
type runner struct {
	ctx   context.Context
	s     Session
	clock func() time.Duration
	options

	begin    chan *job
	returned chan *job
	ended    chan struct{}
	err      error // valid when ended is closed

	offer   offer
	job     *job          // nil: no work runs
	since   time.Duration // when Run began to wait for a job
	stopped bool          // a job was cancelled before its end
	waiting *api.Waiting  // the session's last reason to wait; nil: it sent a deadline, or nothing yet
	told    *api.Waiting  // by onWait
}

// offer is the newest deadline from the session that was not reported as drained.
type offer struct {
	token  uint64
	until  time.Duration
	length time.Duration
	mark   uint64
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
		// Read everything before looking at the clock: after a pause of this process, a
		// renewal may be waiting.
		for e, ok := r.s.Next(); ok; e, ok = r.s.Next() {
			switch {
			case e.Stop != "":
				r.hearStop(e)
			case e.Token != 0:
				r.hearDeadline(e)
			case e.Waiting != nil:
				r.waiting = e.Waiting
			}
		}
		if r.job == nil {
			switch {
			case r.ctx.Err() != nil:
				r.drain()
				return r.ctx.Err()
			case over:
				return ErrStopped
			}
			once := r.stopped && r.bounded && r.try == 0
			if once || !r.startIfMay() && r.patience() <= 0 {
				r.drain()
				return &notGoose{r.waiting, once}
			}
			r.tellWaiting()
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
	o := offer{token: e.Token, until: time.Duration(e.Until), length: time.Duration(e.Lease), mark: e.Mark}
	if o.length == 0 {
		// The agent sends no length: its first deadline is closest to a whole lease.
		o.length = o.until - r.clock()
		if r.offer.token == o.token {
			o.length = max(o.length, r.offer.length)
		}
	}
	r.offer, r.waiting = o, nil
	switch j := r.job; {
	case j == nil:
	case j.lease.token == o.token:
		j.lease.renew(o.until)
		j.lease.know(o.mark)
		j.length = o.length
	default: // a new period: the job's own is over
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
		r.drain() // no job has started with this deadline
	}
}

var causes = map[string]error{api.StopSteppedDown: ErrSteppedDown, api.StopStopped: ErrStopped}

// drain reports that nothing acts by the offer.
func (r *runner) drain() {
	if token := r.offer.token; token != 0 {
		r.offer = offer{}
		r.s.Drained(token, api.ThenWait)
	}
}

// patience returns how long Run still waits to become the goose.
func (r *runner) patience() time.Duration {
	if !r.bounded {
		return math.MaxInt64
	}
	most := r.try
	if r.waiting == nil {
		most = max(most, SilentTry)
	}
	return r.since + most - r.clock()
}

// tellWaiting reports the reason to wait, if it is new.
func (r *runner) tellWaiting() {
	switch {
	case r.job != nil:
		r.told = nil
	case r.waiting != nil && (r.told == nil || *r.told != *r.waiting):
		r.told = r.waiting
		r.onWait(*r.waiting)
	}
}

// startIfMay starts work, unless so little of the lease is left that it would be
// cancelled at once. It reports whether it did.
func (r *runner) startIfMay() bool {
	o := r.offer
	if o.token == 0 || o.until-r.clock() <= threshold(o.length) {
		return false
	}
	l := &lease{token: o.token, clock: r.clock, s: r.s}
	l.renew(o.until)
	l.know(o.mark)
	j := &job{lease: l, length: o.length}
	j.ctx, j.end = context.WithCancelCause(r.ctx)
	r.job = j
	r.begin <- j // Run is waiting: no other job runs
	return true
}

// judge cancels work whose lease runs out, and reports work that runs past its lease.
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

// rest returns how long to sleep if nothing arrives: at most a tenth of a lease. Timers
// stop while the machine sleeps and the boot clock does not, so work is told that soon
// after the machine wakes.
func (r *runner) rest() time.Duration {
	j := r.job
	switch {
	case j == nil && r.bounded:
		// Look each second: timers stop while the machine sleeps.
		return min(max(r.patience(), time.Microsecond), time.Second)
	case j == nil || j.late:
		return math.MaxInt64
	}
	left := j.lease.Until()
	if !j.cancelled {
		left -= threshold(j.length)
	}
	return max(min(left, j.length/10), time.Microsecond)
}

// finish handles the end of a job, and reports whether Run ends with it.
func (r *runner) finish(j *job) (finished bool, err error) {
	r.job, r.since = nil, r.clock()
	j.end(context.Canceled)
	j.lease.end()
	if r.offer.token == j.lease.token {
		r.offer = offer{}
	}
	switch {
	case j.panicked: // the panic continues once the agent knows
	case r.ctx.Err() != nil:
		err = r.ctx.Err()
	case j.cancelled:
		r.stopped = true
		r.s.Drained(j.lease.token, api.ThenWait)
		return false, nil
	default:
		err = j.err
	}
	r.drain() // for a later period, if there is one
	r.s.Drained(j.lease.token, r.then)
	return true, err
}
