package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/history"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/store"
)

const (
	// historyQuestion asks an agent for goose periods.
	historyQuestion = "history"
	// historyAnswer bounds the periods of one answer.
	historyAnswer = 300
	// historyBytes bounds what is read of the file.
	historyBytes = 32 << 20
	// historySpread is how long an agent waits before it asks after a change, per agent of the flock.
	historySpread = 10 * time.Millisecond
	// historyPause and historyPauses are the first and the longest pause between questions about the end of one period.
	historyPause, historyPauses = 100 * time.Millisecond, time.Minute
	// historyDoubt is for how long the agent that was the goose is asked why it ended.
	historyDoubt = 24 * time.Hour
)

// chronicle is the history of one election. Any goroutine may use it under its lock.
type chronicle struct {
	sync.Mutex
	history.History

	// Used by the loop only.
	askAt  time.Duration // when others are asked next; 0: never
	pause  time.Duration
	asking bool
	missed uint64 // periods from this token on may have been missed
	// ownSince is the first token that this agent had in this process; 0: none.
	ownSince uint64
}

// begin starts a life.
func (c *chronicle) begin() { c.askAt, c.asking = 0, false }

// History returns the goose periods that this agent saw or was told of: see [Agent.History].
func (e *Election) History() api.History {
	c := &e.at.chronicle
	c.Lock()
	defer c.Unlock()
	return c.Document()
}

// History returns the last 1,000 goose periods of the default election that this agent saw
// or was told of, and the gaps between them, newest first.
func (a *Agent) History() api.History { return a.byDefault().History() }

// since is when the present goose period began; nil: none goes on.
func (at *local) since() *api.Time {
	at.chronicle.Lock()
	defer at.chronicle.Unlock()
	if last, _ := at.chronicle.Last(); last.Token == at.succession.token && last.Ended == api.EndedRunning {
		return new(api.Time(last.From))
	}
	return nil
}

// wall returns the moment of the wall clock at which the boot clock showed at.
func wall(now, at time.Duration) time.Time { return time.Now().Add(at - now) }

// note changes the history and has it saved.
func (at *local) note(change func(h *history.History)) {
	at.chronicle.Lock()
	change(&at.chronicle.History)
	at.chronicle.Unlock()
	if at.l != nil {
		at.l.historyChanged()
	}
}

func (a *Agent) historyChanged() {
	select {
	case a.historyNews <- struct{}{}:
	default:
	}
}

// chronicleGoose records a goose that is heard, and has missed periods asked for.
func (at *local) chronicleGoose(now time.Duration, goose election.ID, token uint64, again bool) {
	l, c := at.l, &at.chronicle
	at.note(func(h *history.History) {
		if last, _ := h.Last(); !again {
			c.missed = last.Token
		}
		h.Begin(token, goose.String(), l.nameOf(goose), wall(now, now))
	})
	if goose == l.id && c.ownSince == 0 {
		c.ownSince = token
	}
	if again {
		return
	}
	c.pause = historyPause
	c.askAt = now + rand.N(historySpread*time.Duration(l.member.Alive()+1))
}

// chronicleEnd records that the period of the last goose has ended. ended is the reason
// as far as this agent knows; sure: this agent was the goose.
func (at *local) chronicleEnd(now, last time.Duration, ended, reason string, sure bool) {
	at.note(func(h *history.History) { h.End(at.succession.token, wall(now, last), ended, reason, sure) })
}

// guessEnd returns the reason why the last goose's period ended, as another agent can
// see it. next is the token of the next goose; 0 until there is one.
func (at *local) guessEnd(next uint64) string {
	s := &at.succession
	switch {
	case s.last == at.l.id && s.endedAs != "":
		return s.endedAs
	case s.handedOver == s.term:
		return api.EndedStepDown
	case s.died != 0 && s.died == s.term:
		return api.EndedDied
	case next&^election.MaxTerm > s.token&^election.MaxTerm:
		return api.EndedRecovered
	}
	return api.EndedUnknown
}

// ownEnd returns the reason why this agent is no longer the goose.
func (at *local) ownEnd() string {
	s := &at.succession
	switch e := at.l.member.Named(at.name); {
	case s.deposed:
		return api.EndedLeaseLost
	case s.endedAs != "":
		return s.endedAs
	case e != nil && e.HandingOver():
		return api.EndedStepDown
	}
	return api.EndedLeaseLost
}

// chronicleClose records that this life ends, and with it the period that it leads.
func (at *local) chronicleClose() {
	s := &at.succession
	if at.l == nil || s.last != at.l.id || s.goose != s.last && !s.ended {
		return
	}
	ended := at.ownEnd()
	if ended == api.EndedLeaseLost && s.endedAs == "" {
		ended = api.EndedDied
	}
	at.chronicleEnd(at.l.now(), at.l.now(), ended, s.cause, true)
}

// tellHistory asks the goose for the periods that this agent missed, and former geese for
// the reason why their periods ended.
func (at *local) tellHistory(now time.Duration) {
	l, c := at.l, &at.chronicle
	if c.askAt == 0 || now < c.askAt || c.asking {
		return
	}
	c.Lock()
	unsure := c.Unsure(time.Now().Add(-historyDoubt), 8)
	c.Unlock()
	since, asked := map[election.ID]uint64{}, []member.Peer{}
	ask := func(id election.ID, token uint64) {
		p, alive := l.peerAlive(id)
		if !alive || id == l.id {
			return
		}
		if _, found := since[id]; !found {
			asked = append(asked, p)
			since[id] = token
		}
		since[id] = min(since[id], token)
	}
	for _, p := range unsure {
		if id, err := election.ParseID(p.ID); err == nil {
			if _, alive := l.peerAlive(id); !alive && p.Ended == api.EndedUnknown && l.isGone(id) {
				at.note(func(h *history.History) { h.End(p.Token, time.Now(), api.EndedDied, "", false) })
			}
			ask(id, p.Token)
		}
	}
	if c.missed != 0 || len(unsure) == 0 {
		ask(at.succession.last, c.missed)
	}
	c.askAt, c.pause = now+c.pause, min(2*c.pause, historyPauses)
	if len(unsure) == 0 && c.pause >= time.Second { // the goose may know more by now
		c.askAt = 0
	}
	if len(asked) == 0 {
		return
	}
	c.asking = l.gossip.Background(func(over context.Context) {
		ctx, cancel := context.WithTimeout(over, gossip.AskWait)
		defer cancel()
		for _, r := range l.gossip.Gather(ctx, asked, historyQuestion, func(p member.Peer) any { return historyAsk{at.name, since[p.ID]} }) {
			var told []history.Period
			if r.Read(&told) != nil || len(told) > historyAnswer {
				continue
			}
			at.chronicle.Lock()
			changed := at.chronicle.Merge(r.ID.String(), told)
			at.chronicle.own(l.id.String())
			at.chronicle.Unlock()
			if changed {
				l.historyChanged()
			}
		}
		_ = l.do(over, func(*life) error { c.asking = false; return nil }) // fails only when the life has ended
	})
}

// own ends the periods that this agent led in an earlier process. It died then: a stop
// would have been recorded. The lock is held.
func (c *chronicle) own(id string) {
	for _, p := range c.Unsure(time.Now().Add(-historyDoubt), history.Max) {
		if p.ID == id && (c.ownSince == 0 || p.Token < c.ownSince) {
			c.End(p.Token, time.Now(), api.EndedDied, "the process ended without a stop", true)
		}
	}
}

// isGone reports whether an agent is dead by gossip, or forgotten.
func (l *life) isGone(id election.ID) bool {
	p, known := l.peer(func(p *member.Peer) bool { return p.ID == id })
	return !known || p.State == member.Failed
}

// historyAsk asks for the periods of an election, from a token on.
type historyAsk struct {
	Election string `json:"election"`
	Since    uint64 `json:"since"`
}

// answerHistory tells another agent the goose periods that this one knows.
func (a *Agent) answerHistory(_ context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var q historyAsk
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	e, err := a.Election(q.Election)
	if err != nil {
		return nil, err
	}
	e.at.chronicle.Lock()
	defer e.at.chronicle.Unlock()
	return e.at.chronicle.Since(q.Since, historyAnswer), nil
}

// loadHistory reads the file of earlier processes. A period that this agent led has
// ended with its process.
func (a *Agent) loadHistory() {
	text, err := a.disk.Note(store.HistoryFile, historyBytes)
	var all map[string][]history.Period
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.cfg.Logger.Warn("the history of former starts is not used", "error", err)
	}
	id := a.disk.State().ID.String()
	for _, at := range append(a.otherLocals(), a.main) {
		at.chronicle.Merge("", all[at.name])
		if last, _ := at.chronicle.Last(); last.ID == id {
			at.chronicle.End(last.Token, time.Now(), api.EndedUnknown, "", false)
		}
		at.chronicle.own(id)
	}
}

// keepHistory saves the history soon after each change. stop saves the last changes and
// ends it.
func (a *Agent) keepHistory() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-a.historyNews:
			case <-ctx.Done():
				select {
				case <-a.historyNews: // of the last life's end
					a.saveHistory()
				default:
				}
				return
			}
			select { // changes come in bursts
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			a.saveHistory()
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (a *Agent) saveHistory() {
	all := map[string][]history.Period{}
	for _, at := range append(a.otherLocals(), a.main) {
		at.chronicle.Lock()
		if periods := at.chronicle.Since(0, history.Max); len(periods) > 0 {
			all[at.name] = periods
		}
		at.chronicle.Unlock()
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = a.disk.SaveNote(store.HistoryFile, text)
	}
	if err != nil {
		a.quiet.Warn("history", "the history is not saved", "error", err)
	}
}
