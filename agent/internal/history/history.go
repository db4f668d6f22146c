// Package history keeps which agents were the goose of an election, under which
// tokens, and why each period ended, as one agent saw it or was told. It does no I/O.
package history

import (
	"cmp"
	"slices"
	"time"

	"duckduckgoose/agent/api"
)

// Max bounds the periods that are kept; the oldest are forgotten.
const Max = 1000

const (
	maxText  = 200       // bytes of what another agent says for people
	maxToken = 1<<53 - 1 // tokens end there
)

// Period is one goose period. Agents tell each other of it, and keep it on disk, as
// JSON. It is a comparable value.
type Period struct {
	Token  uint64 `json:"token"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	From   int64  `json:"from"`         // Unix time in milliseconds
	To     int64  `json:"to,omitempty"` // 0: it goes on
	Ended  string `json:"ended"`        // api.EndedRunning and its like
	Reason string `json:"reason,omitempty"`
	Sure   bool   `json:"sure,omitempty"` // the agent that was the goose says so
}

// History is the goose periods of one election, by token. The zero value is empty.
type History struct{ periods []Period }

// find gives the place of a token, and whether it is there.
func (h *History) find(token uint64) (int, bool) {
	return slices.BinarySearchFunc(h.periods, token, func(p Period, token uint64) int { return cmp.Compare(p.Token, token) })
}

func (h *History) insert(i int, p Period) {
	h.periods = slices.Insert(h.periods, i, p)
	h.periods = slices.Delete(h.periods, 0, max(0, len(h.periods)-Max))
}

// Begin notes that an agent is the goose. One that was not heard for a while goes on;
// periods of smaller tokens have ended.
func (h *History) Begin(token uint64, id, name string, at time.Time) {
	i, found := h.find(token)
	switch {
	case !found:
		h.insert(i, Period{Token: token, ID: id, Name: name, From: at.UnixMilli(), Ended: api.EndedRunning})
	case i == len(h.periods)-1:
		p := &h.periods[i]
		p.To, p.Ended, p.Reason, p.Sure = 0, api.EndedRunning, "", false
	}
	for i := range max(0, len(h.periods)-1) {
		h.periods[i].end(at, api.EndedUnknown)
	}
}

// end ends a period that goes on.
func (p *Period) end(at time.Time, ended string) {
	if p.Ended == api.EndedRunning {
		p.To, p.Ended = max(at.UnixMilli(), p.From), ended
	}
}

// End notes that the goose of a token is the goose no more, and why as far as this
// agent knows: [api.EndedUnknown] if it does not. What is known is kept, but for the
// word of the goose itself (sure), which replaces it.
func (h *History) End(token uint64, at time.Time, ended, reason string, sure bool) {
	i, found := h.find(token)
	if !found {
		return
	}
	p := &h.periods[i]
	p.end(at, api.EndedUnknown)
	if sure || !p.Sure && p.Ended == api.EndedUnknown {
		p.Ended, p.Reason, p.Sure = ended, reason, sure
	}
}

// Merge takes in what the agent named teller knows, and tells whether anything is new.
// The times of what was seen here stay as they were seen.
func (h *History) Merge(teller string, told []Period) (changed bool) {
	for _, p := range told {
		if !p.plausible() {
			continue
		}
		i, found := h.find(p.Token)
		newest := i >= len(h.periods)-1
		switch {
		case !found && i == 0 && len(h.periods) == Max:
		case !found:
			if i < len(h.periods) { // the teller may not know of the next one
				p.end(time.UnixMilli(h.periods[i].From), api.EndedUnknown)
			}
			if i > 0 {
				h.periods[i-1].end(time.UnixMilli(p.From), api.EndedUnknown)
			}
			h.insert(i, p)
			changed = true
		default:
			own := &h.periods[i]
			better := p.Ended != api.EndedRunning && p.Ended != api.EndedUnknown && own.Ended == api.EndedUnknown || p.Sure && !own.Sure
			if p.Sure && p.ID == teller {
				better = p.Ended != own.Ended || p.Reason != own.Reason || !own.Sure
			}
			if !better || newest && own.Ended == api.EndedRunning {
				continue // this agent hears the goose: it knows better
			}
			own.Ended, own.Reason, own.Sure = p.Ended, p.Reason, p.Sure
			changed = true
		}
	}
	return changed
}

// ends are the values of Period.Ended.
var ends = []string{
	api.EndedRunning, api.EndedLeaseLost, api.EndedStepDown, api.EndedPreempted, api.EndedUnwell, api.EndedNoWork,
	api.EndedLeft, api.EndedDied, api.EndedRecovered, api.EndedUnknown,
}

// plausible refuses what no agent says.
func (p *Period) plausible() bool {
	return p.Token > 0 && p.Token <= maxToken && len(p.ID) <= maxText && len(p.Name) <= maxText && len(p.Reason) <= maxText &&
		p.From > 0 && (p.To == 0) == (p.Ended == api.EndedRunning) && (p.To == 0 || p.To >= p.From) && slices.Contains(ends, p.Ended)
}

// Last gives the newest period; false: none is known.
func (h *History) Last() (Period, bool) {
	if len(h.periods) == 0 {
		return Period{}, false
	}
	return h.periods[len(h.periods)-1], true
}

// Of gives the period of a token; the zero value: it is not known.
func (h *History) Of(token uint64) Period {
	if i, found := h.find(token); found {
		return h.periods[i]
	}
	return Period{}
}

// Since gives the periods from a token on, the newest ones if they are more than most.
func (h *History) Since(token uint64, most int) []Period {
	i, _ := h.find(token)
	return slices.Clone(h.periods[max(i, len(h.periods)-most):])
}

// Unsure gives the newest periods that have ended and whose goose has not said why, at
// most a few, as long ago as since.
func (h *History) Unsure(since time.Time, few int) (unsure []Period) {
	for _, p := range slices.Backward(h.periods) {
		if p.To != 0 && p.To < since.UnixMilli() || len(unsure) == few {
			break
		}
		if p.To != 0 && !p.Sure {
			unsure = append(unsure, p)
		}
	}
	return unsure
}

// Document gives the history as people read it, the newest period first.
func (h *History) Document() (d api.History) {
	d.Periods, d.Gaps = []api.Period{}, []api.Gap{}
	next := int64(0) // when the next period began; 0: there is none
	for i, p := range slices.Backward(h.periods) {
		shown := api.Period{Token: p.Token, Name: p.Name, ID: p.ID, From: api.Time(p.From), Ended: p.Ended, Reason: p.Reason}
		if p.To != 0 {
			shown.To = new(api.Time(p.To))
		}
		d.Periods = append(d.Periods, shown)
		switch last := i == len(h.periods)-1; {
		case p.To == 0:
		case last:
			d.Gaps = append(d.Gaps, api.Gap{From: api.Time(p.To)})
		case next > p.To:
			d.Gaps = append(d.Gaps, api.Gap{From: api.Time(p.To), To: new(api.Time(next))})
		}
		next = p.From
	}
	return d
}
