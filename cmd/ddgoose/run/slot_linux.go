package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

// slotPause is the pause before the next request for the slot: the agent may be losing its
// lease or its majority.
const slotPause = 50 * time.Millisecond

// errNoSlot: CMD must not begin in this slot, or at all.
var errNoSlot = errors.New("no slot")

// taken returns the text for a slot that is taken. A mark far above the slot does not come from
// this job.
// unsure is the error of this run's earlier request for the slot; nil: there was none.
func (g *guard) taken(ctx context.Context, slot uint64, unsure error) string {
	at := time.Unix(0, int64(slot)*int64(g.Slot)).UTC()
	text := fmt.Sprintf("the slot of %v from %s is taken", g.Slot, at.Format("2006-01-02T15:04:05.999Z07:00"))
	if unsure != nil {
		return text + fmt.Sprintf(", perhaps by this run, which had no certain answer (%v)", unsure)
	}
	if m, err := g.client.Mark(ctx); err == nil && m.Mark > slot+api.SlotLead {
		text += fmt.Sprintf(": the mark is %d slots ahead, so this machine's clock is behind, or another job uses this election's mark (give each job its own --election)", m.Mark-slot)
	}
	return text
}

// takeSlot commits the number of the present slot with a majority of the voters, so that no
// other run of the flock begins in it. A slot whose goose dies after that is left out. ok is
// false if CMD must not begin; then g.last says why, or ctx has ended.
func (g *guard) takeSlot(ctx context.Context, token uint64) (slot uint64, ok bool) {
	asked, unsure := uint64(0), error(nil)
	for ctx.Err() == nil {
		if slot = api.SlotOf(Now(), g.Slot); slot != asked {
			asked, unsure = slot, nil
		}
		_, err := g.client.Advance(ctx, api.MarkRequest{Advance: slot, Token: token, Slot: g.Slot.String()})
		switch {
		case err == nil:
			return slot, true
		case api.CodeOf(err) == api.CodeMarkTaken:
			g.last = &report{NotGoose: g.taken(ctx, slot, unsure)}
			return 0, false
		case errors.Is(err, api.ErrNotFound):
			g.last = &report{Failed: "this agent is of a version without slots: upgrade it"}
			return 0, false
		case api.CodeOf(err) == api.CodeClockAhead, errors.Is(err, api.ErrInput), errors.Is(err, api.ErrForbidden):
			g.last = new(failure(err))
			return 0, false
		}
		unsure = err
		pause(ctx, slotPause)
	}
	return 0, false
}
