package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"duckduckgoose/agent/api"
)

// conversation is one connection of a session.
type conversation struct {
	resp   *http.Response
	lines  *io.PipeWriter
	shift  time.Duration      // add it to the agent's clock to get ours
	cancel context.CancelFunc // closes lines, too
	acks   bool               // this session answers deadlines
	heard  int64              // the deadline that was answered last
	drains int                // sent and not echoed yet; the session's lock guards it
	echoed chan struct{}      // capacity 1
	over   chan struct{}      // closed when the agent's lines have ended
	proof  proof              // tells a warden that nothing acts on deadlines of this connection
	dead   bool               // the warden was told, so later lines are ignored; the session's lock guards it
}

// shift returns what to add to the agent's deadlines to get our clock's. If both read
// the same clock, the agent read it between before and after. Otherwise it read its own
// after before, so counting from before can only make deadlines earlier.
func shift(agents string, before, after time.Duration) time.Duration {
	ns, err := strconv.ParseInt(agents, 10, 64)
	if at := time.Duration(ns); err == nil && (at < before || at > after) {
		return before - at
	}
	return 0
}

// say writes one line to the agent, and reports whether the connection took it. A
// connection that does not take it in time, because the agent hangs, is dropped: the
// caller supervises work and must not hang.
func (c *conversation) say(req api.LeadRequest) bool {
	line, err := json.Marshal(req)
	if err != nil {
		return false
	}
	hangs := time.AfterFunc(drainTime, c.cancel)
	defer hangs.Stop()
	_, err = c.lines.Write(append(line, '\n'))
	return err == nil
}

// answer confirms deadlines to the agent, a few times in each lease.
func (c *conversation) answer(e api.LeadEvent) {
	if e.Until != 0 && e.Until-c.heard >= e.Lease/4 {
		c.heard = e.Until
		c.say(api.LeadRequest{Heard: e.Token})
	}
}
