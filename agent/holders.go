package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/warden"
	"duckduckgoose/agent/member"
)

// holders are the sessions of programs that work for the goose, each with a deadline.
// The loop hands out deadlines and never waits for a holder. Reports of holders go
// through the loop's commands, so that the election gets them in order.
type holders struct {
	mu struct { // guards all
		sync.Mutex
		all     map[*holder]struct{}
		changes uint64 // grows with every change of all
	}
}

// holder is one session. It keeps the newest renewal and the newest stop for its
// reader: a slow reader misses renewals, but never a stop.
type holder struct {
	agent *Agent
	at    *local
	who   string        // for warnings: a process or a Lead
	pid   int           // 0: unknown
	grace time.Duration // how long its work may take to end before a planned hand-over; 0: not set
	acks  bool          // it answers deadlines
	// outside: its work is in another process, so it can outlive this one. proof is what its
	// guard says once the work is gone.
	outside bool
	proof   uint64
	kill    func() error // kills its work if the holder does not answer; nil: this agent cannot
	shown   api.WorkHolder
	alone   string // only one holder of this kind works at a time; "": no such limit

	mu struct { // guards what follows
		sync.Mutex
		token   uint64       // handed out and not drained; 0: none. See bind
		slot    *warden.Slot // in the warden's list; nil: not there
		late    bool
		quiet   time.Duration // how long it has answered no deadline, without pauses of this agent
		asked   time.Duration // when that was last counted
		length  time.Duration // of the lease that was last handed out
		renewal *api.LeadEvent
		stop    *api.LeadEvent
		waiting *api.LeadEvent
		waits   *api.Waiting // what it was last told to wait for; nil: it got a deadline
		closed  bool         // it takes no more deadlines
		// unkilled: its work must be killed, and a kill has failed.
		unkilled bool
	}
	note chan struct{} // capacity 1: something waits
}

func (e *Election) newHolder(who string) *holder {
	if e.at.name != "" {
		who += " in election " + e.at.name
	}
	h := &holder{agent: e.a, at: e.at, who: who, note: make(chan struct{}, 1)}
	h.shown = api.WorkHolder{Kind: "Lead", Since: time.Now().UTC().Truncate(time.Second)}
	return h
}

// none reports whether there are no holders, as in most elections.
func (hs *holders) none() bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return len(hs.mu.all) == 0
}

// each runs do on every holder, under its lock.
func (hs *holders) each(do func(*holder)) {
	if hs.none() {
		return
	}
	hs.mu.Lock()
	all := slices.Collect(maps.Keys(hs.mu.all))
	hs.mu.Unlock()
	for _, h := range all {
		h.mu.Lock()
		do(h)
		h.mu.Unlock()
	}
}

func (hs *holders) add(h *holder) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.mu.Lock()
	closed := h.mu.closed
	h.mu.Unlock()
	if closed {
		return // its session ended before the loop saw it
	}
	if hs.mu.all == nil {
		hs.mu.all = make(map[*holder]struct{})
	}
	hs.mu.all[h] = struct{}{}
	hs.mu.changes++
}

func (hs *holders) remove(h *holder) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.mu.all, h)
	hs.mu.changes++
}

// state sums up what the holders do. unsaid is the grace of holders that set none.
func (hs *holders) state(unsaid time.Duration) (all member.Holders) {
	hs.each(func(h *holder) {
		all.Attached++
		if h.mu.late {
			all.Late++
		}
		if h.mu.token != 0 {
			all.Working++
			all.Grace = max(all.Grace, cmp.Or(h.grace, unsaid))
		}
		if h.silent() && !h.mu.unkilled {
			all.Silent++
		}
	})
	return all
}

// list returns the holders that work or wait, in the order in which they came.
func (hs *holders) list() (all []api.WorkHolder) {
	hs.each(func(h *holder) { all = append(all, h.shown) })
	slices.SortFunc(all, func(a, b api.WorkHolder) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Ends, b.Ends))
	})
	return all
}

// changes counts the changes of list.
func (hs *holders) changes() uint64 {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.mu.changes
}

// late names the holders whose work went on past its deadline.
func (hs *holders) late() (who []string) {
	hs.each(func(h *holder) {
		if h.mu.late {
			who = append(who, h.who)
		}
	})
	return who
}

// renew hands out a lease. During a planned end only holders that still work get it:
// no work begins. Of the holders of one kind (alone) only one gets it.
func (hs *holders) renew(lease election.Lease, mark uint64, ending bool) {
	at := hs.atWork()
	hs.each(func(h *holder) {
		h.count()
		switch {
		case h.mu.closed || h.mu.token != 0 && h.mu.token != lease.Token:
			return // its work of an earlier period has not ended yet
		case ending && h.mu.token == 0:
			h.waitFor(api.Waiting{Here: "this agent hands over"})
			return
		case h.alone != "" && h.mu.token == 0:
			if at := at[h.alone]; at != nil && (at.pid == 0 || at.pid != h.pid) { // a new connection of the same process is the same holder
				h.waitFor(api.Waiting{Here: "another " + h.alone + " works beside this agent", PID: at.pid})
				return
			}
			at[h.alone] = h
		}
		h.bind(lease.Token)
		h.mu.waiting, h.mu.waits = nil, nil
		h.mu.renewal = &api.LeadEvent{Token: lease.Token, Until: int64(lease.Until), Lease: int64(lease.Length), Mark: mark}
		h.mu.length = lease.Length
		h.wake()
	})
}

// atWork returns the holder that works, for each kind of which only one may work.
func (hs *holders) atWork() map[string]*holder {
	at := map[string]*holder{}
	hs.each(func(h *holder) {
		if h.alone != "" && h.mu.token != 0 {
			at[h.alone] = h
		}
	})
	return at
}

// look tells a holder without a deadline who the goose is. If this agent is the goose,
// the next renewal tells it.
func (h *holder) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.see()
}

// see is look while mu is held.
func (h *holder) see() {
	switch s := h.at.snapshots.Uncounted(); {
	case h.mu.token != 0:
	case s.Role == api.RoleDead:
		h.waitFor(api.Waiting{Here: "this agent is dead (simulated)"})
	case s.Goose == nil:
		h.waitFor(api.Waiting{})
	case s.Goose.ID != s.ID:
		h.waitFor(api.Waiting{Goose: s.Goose.Name})
	}
}

// waitFor tells h what it waits for, if that is new; mu is held.
func (h *holder) waitFor(w api.Waiting) {
	if h.mu.waits == nil || *h.mu.waits != w {
		h.mu.waits, h.mu.waiting = &w, &api.LeadEvent{Waiting: &w}
		h.wake()
	}
}

// stopAll tells every working holder to stop, and why.
func (hs *holders) stopAll(cause string) {
	hs.each(func(h *holder) {
		if h.mu.token != 0 {
			h.end()
			h.mu.stop = &api.LeadEvent{Token: h.mu.token, Stop: cause}
			h.wake()
		}
	})
}

func (h *holder) wake() {
	select {
	case h.note <- struct{}{}:
	default:
	}
}

// Next returns what waits for the reader: a renewal before a stop of the same period.
func (h *holder) Next() (api.LeadEvent, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, slot := range []**api.LeadEvent{&h.mu.renewal, &h.mu.stop, &h.mu.waiting} {
		if e := *slot; e != nil {
			*slot = nil
			if h.mu.stop != nil || h.mu.waiting != nil {
				h.wake()
			}
			return *e, true
		}
	}
	return api.LeadEvent{}, false
}

// drained records that all work with token, which is not 0, has ended. It reports
// whether that changed anything.
func (h *holder) drained(token uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered()
	h.mu.late = false
	if h.mu.token != token {
		return false
	}
	h.bind(0)
	h.mu.renewal, h.mu.stop = nil, nil
	return true
}

var _ api.Holder = (*holder)(nil)

// Ready gets a value when Next may have something to return.
func (h *holder) Ready() <-chan struct{} { return h.note }

// Done is closed when the agent has stopped and hands out nothing more.
func (h *holder) Done() <-chan struct{} { return h.agent.closed }

// Drained says that all work with token has ended, and what the holder wants next.
func (h *holder) Drained(token uint64, then api.Then) {
	if then == api.ThenLeave {
		h.mu.Lock()
		h.mu.closed = true
		h.mu.Unlock()
	}
	ours := h.drained(token)
	h.tell(func(m *member.Member, e *member.Election) {
		m.HoldersChanged(e)
		if ours && then == api.ThenStepDown {
			m.WorkEnded(e, token)
		}
	})
	h.look()
}

// Advance raises the election's mark in the goose period of token.
func (h *holder) Advance(ctx context.Context, token, to uint64) error {
	return (&Election{h.agent, h.at}).advance(ctx, to, token)
}

// Late says that work continues past its deadline.
func (h *holder) Late(uint64) {
	h.mu.Lock()
	h.mu.late = true
	h.answered()
	h.mu.Unlock()
	h.tell((*member.Member).HoldersChanged)
}

// Close ends the session: its work has ended.
func (h *holder) Close() {
	h.mu.Lock()
	h.bind(0)
	h.mu.closed, h.mu.late = true, false
	h.answered()
	h.mu.Unlock()
	h.at.holders.remove(h)
	h.tell((*member.Member).HoldersChanged)
}

// tell runs f on the loop, for the election of h. It does nothing if the agent is dead
// or stopped.
func (h *holder) tell(f func(*member.Member, *member.Election)) {
	err := h.agent.do(context.Background(), func(l *life) error {
		if e := l.member.Named(h.at.name); e != nil {
			f(l.member, e)
		}
		return nil
	})
	if err != nil {
		h.agent.cfg.Logger.Debug("holder's word came too late", "holder", h.who, "error", err)
	}
}
