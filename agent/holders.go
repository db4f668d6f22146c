package agent

import (
	"context"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/member"
)

// holders are those who act for the goose by deadlines handed to them. The
// loop pushes into them; they never block it. What they report back goes
// through the loop's commands, so that the node hears of it in order.
type holders struct {
	mu struct { // guards all
		sync.Mutex
		all map[*holder]struct{}
	}
}

// holder is one session. Its mailbox holds the newest renewal and the newest
// stop: a slow reader misses renewals, never a stop.
type holder struct {
	agent *Agent
	at    *local
	who   string        // for warnings: a process or a Lead
	grace time.Duration // how long its work may take to end when that is planned; 0: it does not say
	alone bool          // waits while another such holder works

	mu struct { // guards what follows
		sync.Mutex
		token   uint64 // handed out and not drained; 0: none
		late    bool
		renewal *api.LeadEvent
		stop    *api.LeadEvent
		closed  bool
	}
	note chan struct{} // capacity 1: something waits
}

func (e *Election) newHolder(who string) *holder {
	if e.at.name != "" {
		who += " in election " + e.at.name
	}
	return &holder{agent: e.a, at: e.at, who: who, note: make(chan struct{}, 1)}
}

func (hs *holders) each(do func(*holder)) {
	hs.mu.Lock()
	if len(hs.mu.all) == 0 {
		hs.mu.Unlock()
		return
	}
	all := make([]*holder, 0, len(hs.mu.all))
	for h := range hs.mu.all {
		all = append(all, h)
	}
	hs.mu.Unlock()
	for _, h := range all {
		do(h)
	}
}

func (hs *holders) add(h *holder) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.mu.Lock()
	closed := h.mu.closed
	h.mu.Unlock()
	if closed {
		return // given up before the loop came to it
	}
	if hs.mu.all == nil {
		hs.mu.all = make(map[*holder]struct{})
	}
	hs.mu.all[h] = struct{}{}
}

func (hs *holders) remove(h *holder) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.mu.all, h)
}

// state sums up what the holders do. unsaid is the grace of those that do not
// say how long their work takes to end.
func (hs *holders) state(unsaid time.Duration) (all member.Holders) {
	hs.each(func(h *holder) {
		h.mu.Lock()
		works, late := h.mu.token != 0, h.mu.late
		h.mu.Unlock()
		all.Attached++
		if late {
			all.Late++
		}
		if !works {
			return
		}
		all.Working++
		grace := h.grace
		if grace == 0 {
			grace = unsaid
		}
		all.Grace = max(all.Grace, grace)
	})
	return all
}

// late names the holders whose work went on past its deadline.
func (hs *holders) late() (who []string) {
	hs.each(func(h *holder) {
		h.mu.Lock()
		if h.mu.late {
			who = append(who, h.who)
		}
		h.mu.Unlock()
	})
	return who
}

// renew hands out a lease. During a planned end only those who still work get
// it: nobody begins. Of those that work alone one gets it.
func (hs *holders) renew(lease election.Lease, ending bool) {
	at := hs.atWork()
	hs.each(func(h *holder) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.mu.closed || ending && h.mu.token != lease.Token || h.mu.token != 0 && h.mu.token != lease.Token {
			return // one that has not drained its last period is not handed the next
		}
		if h.alone && h.mu.token == 0 {
			if at != "" && at != h.who { // a new connection of the same process is no other holder
				return
			}
			at = h.who
		}
		h.mu.token = lease.Token
		h.mu.renewal = &api.LeadEvent{Token: lease.Token, Until: int64(lease.Until), Lease: int64(h.agent.cfg.Lease)}
		h.wake()
	})
}

// atWork names the holder that works alone now; "": none.
func (hs *holders) atWork() (who string) {
	hs.each(func(h *holder) {
		h.mu.Lock()
		if h.alone && h.mu.token != 0 {
			who = h.who
		}
		h.mu.Unlock()
	})
	return who
}

// stopAll tells every holder that works to stop, and why.
func (hs *holders) stopAll(cause string) {
	hs.each(func(h *holder) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.mu.token == 0 {
			return
		}
		h.mu.stop = &api.LeadEvent{Token: h.mu.token, Stop: cause}
		h.wake()
	})
}

func (h *holder) wake() {
	select {
	case h.note <- struct{}{}:
	default:
	}
}

// next takes what waits: a renewal goes before a stop of the same period.
func (h *holder) next() (e api.LeadEvent, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.mu.renewal; r != nil {
		h.mu.renewal = nil
		if h.mu.stop != nil {
			h.wake()
		}
		return *r, true
	}
	if s := h.mu.stop; s != nil {
		h.mu.stop = nil
		return *s, true
	}
	return api.LeadEvent{}, false
}

// drained books that all work under token has ended. It tells whether that
// changed anything.
func (h *holder) drained(token uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.late = false
	if h.mu.token == 0 || h.mu.token != token {
		return false
	}
	h.mu.token = 0
	h.mu.renewal, h.mu.stop = nil, nil
	return true
}

var _ api.Holder = (*holder)(nil)

// Ready gets a value when Next may have something.
func (h *holder) Ready() <-chan struct{} { return h.note }

// Next takes the newest deadline, then a stop.
func (h *holder) Next() (api.LeadEvent, bool) { return h.next() }

// Done is closed when the agent will never hand out anything again.
func (h *holder) Done() <-chan struct{} { return h.agent.closed }

// Drained says that all work under token has ended; with stepDown it ended by itself.
func (h *holder) Drained(token uint64, stepDown bool) {
	ours := h.drained(token)
	h.tell(func(m *member.Member, e *member.Election) {
		m.HoldersChanged(e)
		if ours && stepDown {
			m.WorkEnded(e, token)
		}
	})
}

// Late says that work under token goes on past its deadline.
func (h *holder) Late(uint64) {
	h.mu.Lock()
	h.mu.late = true
	h.mu.Unlock()
	h.tell((*member.Member).HoldersChanged)
}

// Close ends the session: nothing acts any more by what was handed out.
func (h *holder) Close() {
	h.mu.Lock()
	h.mu.closed, h.mu.token, h.mu.late = true, 0, false
	h.mu.Unlock()
	h.at.holders.remove(h)
	h.tell((*member.Member).HoldersChanged)
}

// tell runs f on the loop, for the election that h holds by. An agent that is
// dead or stopped needs no word.
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
