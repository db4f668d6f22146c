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

// The API and the member have the same bound, or this does not compile.
var _ = [1]struct{}{}[member.MaxFreeze-api.MaxFreeze]

// Freeze blocks planned changes of the goose in the whole flock for d; 0:
// api.DefaultFreeze. There is no step-down without force and no preemption, and only
// failed voters are replaced. A stop of the goose still hands over. Every live agent
// is told; absent agents hear of it when they return. The freeze ends by itself, and
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

// spreadFreeze sets a freeze (d 0: none) here and tells all other agents.
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

// answerFreeze takes a freeze from another agent.
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
		return nil // a newer freeze or thaw here stays
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
