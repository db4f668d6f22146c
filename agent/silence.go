package agent

import (
	"time"

	"duckduckgoose/agent/member"
)

// count adds to the time in which h has answered nothing; mu is held. It runs when a
// lease is renewed, so a pause of the agent itself does not count.
func (h *holder) count() {
	now := h.agent.cfg.Clock()
	if h.acks && h.mu.token != 0 && !h.mu.late {
		h.mu.quiet += min(now-h.mu.asked, h.lease()/4)
	}
	h.mu.asked = now
}

// silent reports whether h has answered no deadline for a whole lease, because it is
// stopped or hangs; mu is held.
func (h *holder) silent() bool { return h.mu.quiet >= h.lease() }

// lease returns the length of a lease by which h's silence counts; mu is held.
func (h *holder) lease() time.Duration { return max(h.agent.cfg.Lease, h.mu.length) }

// end kills the work of a holder that does not answer, because it would not read a stop
// either; mu is held. A kill that fails is repeated until the work has ended. Until then
// a hand-over waits for the holder.
func (h *holder) end() {
	if !h.silent() || h.killed() {
		return
	}
	h.mu.unkilled = true
	time.AfterFunc(h.agent.cfg.Lease/20, func() {
		h.mu.Lock()
		again := h.mu.unkilled && h.mu.token != 0
		h.mu.unkilled = false
		if again {
			h.end()
		}
		h.mu.Unlock()
		h.tell((*member.Member).HoldersChanged)
	})
}

// Died kills what a dead process left. It spares the work of a holder that shares:
// its cgroup may have new work already.
func (h *holder) Died() {
	for {
		h.mu.Lock()
		done := h.mu.token == 0 || h.alone == "" || h.killed()
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-time.After(h.agent.cfg.Lease / 20):
		case <-h.Done():
			return
		}
	}
}

// killed kills all processes in the cgroup of the work and reports success; mu is held.
func (h *holder) killed() bool {
	if h.kill == nil {
		return true
	}
	err := h.kill()
	if err != nil {
		h.agent.cfg.Logger.Error("work not killed; trying again", "holder", h.who, "error", err)
	}
	return err == nil
}

// answered records that h answers, and reports whether it was silent before; mu is held.
func (h *holder) answered() (news bool) {
	news = h.silent()
	h.mu.quiet, h.mu.unkilled = 0, false
	return news
}

// Answered says that the holder has read a deadline.
func (h *holder) Answered() {
	h.mu.Lock()
	news := h.answered()
	h.mu.Unlock()
	if news {
		h.tell((*member.Member).HoldersChanged)
	}
}

// silent returns the names of the holders that do not answer.
func (hs *holders) silent() (who []string) {
	hs.each(func(h *holder) {
		if h.silent() {
			who = append(who, h.shown.Kind+" ("+h.who+")")
		}
	})
	return who
}
