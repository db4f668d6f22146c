package agent

import (
	"time"

	"duckduckgoose/agent/member"
)

// count counts how long h has answered nothing; mu is held. It runs when a lease
// is renewed, so an agent that was paused itself blames nobody for that time.
func (h *holder) count() {
	now := h.agent.cfg.Clock()
	if h.acks && h.mu.token != 0 && !h.mu.late {
		h.mu.quiet += min(now-h.mu.asked, h.agent.cfg.Lease/4)
	}
	h.mu.asked = now
}

// silent tells that h has answered no deadline for a whole lease: it is stopped,
// or hangs; mu is held.
func (h *holder) silent() bool { return h.mu.quiet >= h.agent.cfg.Lease }

// end kills the work of a holder that does not answer, and so hears no stop; mu is held.
// A kill that fails is tried again until the work has ended. Until then the holder
// counts as one that answers: a hand-over waits for it.
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

// Died kills what a dead process left. A holder that shares has a successor in the
// same cgroup, perhaps, which works already.
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

// killed kills all in the cgroup of the work; mu is held. false: it could not.
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

// answered books that h lives. It tells whether that is new; mu is held.
func (h *holder) answered() (news bool) {
	news = h.silent()
	h.mu.quiet, h.mu.unkilled = 0, false
	return news
}

// Answered says that a deadline was read.
func (h *holder) Answered() {
	h.mu.Lock()
	news := h.answered()
	h.mu.Unlock()
	if news {
		h.tell((*member.Member).HoldersChanged)
	}
}

// silent names the holders that do not answer.
func (hs *holders) silent() (who []string) {
	hs.each(func(h *holder) {
		if h.silent() {
			who = append(who, h.shown.Kind+" ("+h.who+")")
		}
	})
	return who
}
