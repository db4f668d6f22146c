// Package history keeps the goose periods of an election as one agent knows them:
// goose, token, times, and why the period ended. It does no I/O.
package history

import (
	"cmp"
	"slices"
	"time"

	"duckduckgoose/agent/api"
)

// Max bounds the periods kept; the oldest are dropped.
const Max = 1000

const (
	maxText  = 200       // bytes of a text that comes from another agent
	maxToken = 1<<53 - 1 // tokens end there
)

// Period is one goose period. Agents exchange periods, and keep them on disk, as
// JSON. Periods can be compared with ==.
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

// find returns the place of a token, and whether it is there.
func (h *History) find(token uint64) (int, bool) {
	return slices.BinarySearchFunc(h.periods, token, func(p Period, token uint64) int { return cmp.Compare(p.Token, token) })
}

func (h *History) insert(i int, p Period) {
	h.periods = slices.Insert(h.periods, i, p)
	h.periods = slices.Delete(h.periods, 0, max(0, len(h.periods)-Max))
}

// Begin records that an agent is the goose. A period of the same token continues;
// those of smaller tokens have ended.
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

// end ends a period, unless it has ended already.
func (p *Period) end(at time.Time, ended string) {
	if p.Ended == api.EndedRunning {
		p.To, p.Ended = max(at.UnixMilli(), p.From), ended
	}
}

// End records that the period of a token has ended, and why: [api.EndedUnknown] if
// this agent does not know. Only the goose itself (sure) may change a reason that is
// recorded already.
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

// Merge adds the periods that another agent, named teller, knows. It reports whether
// anything changed. Times that this agent saw itself stay.
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

// plausible reports whether an agent of ours can have written the period.
func (p *Period) plausible() bool {
	return p.Token > 0 && p.Token <= maxToken && len(p.ID) <= maxText && len(p.Name) <= maxText && len(p.Reason) <= maxText &&
		p.From > 0 && (p.To == 0) == (p.Ended == api.EndedRunning) && (p.To == 0 || p.To >= p.From) && slices.Contains(ends, p.Ended)
}

// Last returns the newest period; false: none is known.
func (h *History) Last() (Period, bool) {
	if len(h.periods) == 0 {
		return Period{}, false
	}
	return h.periods[len(h.periods)-1], true
}

// Of returns the period of a token; the zero value: it is not known.
func (h *History) Of(token uint64) Period {
	if i, found := h.find(token); found {
		return h.periods[i]
	}
	return Period{}
}

// Since returns the periods from a token on; if they are more than most, the newest of them.
func (h *History) Since(token uint64, most int) []Period {
	i, _ := h.find(token)
	return slices.Clone(h.periods[max(i, len(h.periods)-most):])
}

// Unsure returns the newest periods, at most few, that ended after since and whose
// goose has not said why.
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

// Document returns the history as the API shows it, the newest period first.
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
