package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/agent/member"
)

const freezeQuestion = "freeze"

// The API's bound and the member's are one.
var _ = [1]struct{}{}[member.MaxFreeze-api.MaxFreeze]

// Freeze keeps the whole flock, for d, from changing its goose but on failure: no
// step-down without force, no preemption, no change of voters but what heals. 0
// stands for api.DefaultFreeze. A stop of the goose still hands over. Every live agent is told;
// those that are not there hear of it when they return. It ends by itself, and
// is forgotten when all agents stop.
func (a *Agent) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	switch {
	case d == 0:
		d = api.DefaultFreeze
	case d < 0 || d > api.MaxFreeze:
		return api.Freeze{}, api.Input("freeze for %v: want a duration above 0 and of %v at the most", d, api.MaxFreeze)
	}
	return a.spreadFreeze(ctx, d)
}

// Thaw ends a freeze of the whole flock.
func (a *Agent) Thaw(ctx context.Context) (api.Freeze, error) { return a.spreadFreeze(ctx, 0) }

// spreadFreeze takes a new notice here, and tells all others.
func (a *Agent) spreadFreeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	var told member.FreezeNotice
	r, err := look(ctx, a, func(l *life) (checkup.Members, error) {
		n, err := l.member.StampFreeze(time.Now().UnixNano(), d)
		if err != nil {
			return checkup.Members{}, l.explained(err)
		}
		told = n
		return l.membership(), nil
	})
	if err != nil {
		return api.Freeze{}, err
	}
	f := api.Freeze{Remaining: d.Seconds()}
	for _, got := range r.Gossip.Gather(ctx, r.Live, freezeQuestion, func(member.Peer) any { return told }) {
		if got.Err != nil {
			f.Unreached = append(f.Unreached, api.Unreached{Name: got.Meta.Name, Error: got.Err.Error()})
			continue
		}
		f.Reached = append(f.Reached, got.Meta.Name)
	}
	for _, p := range r.Absent {
		f.Unreached = append(f.Unreached, api.Unreached{Name: p.Meta.Name, Error: "it is dead or cut off"})
	}
	return f, ctx.Err()
}

// answerFreeze takes what another agent was told.
func (a *Agent) answerFreeze(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var n member.FreezeNotice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, fmt.Errorf("read the freeze: %w", err)
	}
	return struct{}{}, a.onLoop(ctx, func(l *life) error {
		l.member.TakeFreeze(n)
		if l.member.Freeze().Stamp < n.Stamp {
			return errors.New("its stamp is out of bounds: a clock is wrong")
		}
		return nil // or a newer one rules here
	})
}

// frozen returns how much of the freeze known here is left; 0: none.
func (a *Agent) frozen(now time.Duration) time.Duration {
	f := a.freeze.Load()
	if f == nil {
		return 0
	}
	return max(0, f.Until-now)
}
