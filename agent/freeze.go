package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
)

// DefaultFreeze is how long a freeze lasts that names no time, MaxFreeze the longest.
const (
	DefaultFreeze = api.DefaultFreeze
	MaxFreeze     = api.MaxFreeze
)

const (
	freezeTopic = "freeze"
	// lastStamp is the highest that is believed: time is far from it, and a command
	// can always stamp itself higher.
	lastStamp = 1 << 61
)

// freezeNotice is what agents tell one another of a freeze, or of its end. The
// newest stamp rules: that of the command, by the wall clock where it was given,
// and above all that were known there.
type freezeNotice struct {
	Stamp uint64        `json:"stamp"`
	Left  time.Duration `json:"left_ns"` // 0: thawed, or over
}

// freeze is the newest notice that an agent knows. It is of the process, not of
// the disk: one that starts anew hears it from the others.
type freeze struct {
	stamp  uint64
	until  time.Duration // boot clock
	forget time.Duration // boot clock: what this one has ended is over everywhere by then
}

// Freeze keeps the whole flock, for d, from changing its goose but on failure: no
// step-down without force, no preemption, no change of voters but what heals. 0
// stands for DefaultFreeze. A stop of the goose still hands over. Every live agent is told;
// those that are not there hear of it when they return. It ends by itself, and
// is forgotten when all agents stop.
func (a *Agent) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	switch {
	case d == 0:
		d = DefaultFreeze
	case d < 0 || d > MaxFreeze:
		return api.Freeze{}, api.Input("freeze for %v: want a duration above 0 and of %v at the most", d, MaxFreeze)
	}
	return a.spreadFreeze(ctx, d)
}

// Thaw ends a freeze of the whole flock.
func (a *Agent) Thaw(ctx context.Context) (api.Freeze, error) { return a.spreadFreeze(ctx, 0) }

func (b backend) Freeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	return b.a.Freeze(ctx, d)
}
func (b backend) Thaw(ctx context.Context) (api.Freeze, error) { return b.a.Thaw(ctx) }

// spreadFreeze takes a new notice here, and tells all others.
func (a *Agent) spreadFreeze(ctx context.Context, d time.Duration) (api.Freeze, error) {
	n := freezeNotice{Left: d}
	r, err := ask(ctx, a, func(l *life, answer func(roll, error)) error {
		if l.flockID().IsZero() {
			answer(roll{}, api.Conflict("this agent is of no flock yet: there is nothing to freeze"))
			return nil
		}
		n.Stamp = uint64(max(0, time.Now().UnixNano()))
		if old := l.freeze.Load(); old != nil {
			n.Stamp = max(n.Stamp, old.stamp+1)
		}
		if !l.takeFreeze(n) {
			answer(roll{}, fmt.Errorf("stamp %d of a freeze is out of bounds: set this machine's clock right", n.Stamp))
			return nil
		}
		answer(l.roll(), nil)
		return nil
	})
	if err != nil {
		return api.Freeze{}, err
	}
	f := api.Freeze{Remaining: d.Seconds()}
	told := n
	for _, got := range r.gossip.asks.gather(ctx, r.live, freezeTopic, func(peer) any { return told }) {
		if got.Err != nil {
			f.Unreached = append(f.Unreached, api.Unreached{Name: got.Meta.Name, Error: got.Err.Error()})
			continue
		}
		f.Reached = append(f.Reached, got.Meta.Name)
	}
	for _, p := range r.absent {
		f.Unreached = append(f.Unreached, api.Unreached{Name: p.Meta.Name, Error: "it is dead or cut off"})
	}
	return f, ctx.Err()
}

// answerFreeze takes what another agent was told.
func (a *Agent) answerFreeze(ctx context.Context, _ election.ID, body json.RawMessage) (any, error) {
	var n freezeNotice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, fmt.Errorf("read the freeze: %w", err)
	}
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		l.takeFreeze(n)
		if now := l.freeze.Load(); now == nil || now.stamp < n.Stamp {
			answer(struct{}{}, errors.New("its stamp is out of bounds: a clock is wrong"))
			return nil
		}
		answer(struct{}{}, nil) // or a newer one rules here
		return nil
	})
	return struct{}{}, err
}

// takeFreeze takes a notice that is newer than the one known, and tells the others.
func (l *life) takeFreeze(n freezeNotice) bool {
	old := l.freeze.Load()
	if n.Stamp == 0 || n.Stamp > lastStamp || old != nil && n.Stamp <= old.stamp {
		return false
	}
	now := l.now()
	was, left := l.frozen(now), min(max(n.Left, 0), MaxFreeze)
	l.freeze.Store(&freeze{stamp: n.Stamp, until: now + left, forget: now + MaxFreeze})
	switch {
	case left > 0:
		l.log.Info("frozen: no change of goose but on failure", "for", left)
	case was > 0:
		l.log.Info("thawed")
	}
	l.choresAt = 0
	return true
}

// hearFreezes takes what gossip tells.
func (l *life) hearFreezes() {
	for _, p := range l.peers {
		if p.State == api.StateAlive && p.ID != l.id && p.Meta.FlockID == l.flockID() {
			l.takeFreeze(p.Meta.Freeze)
		}
	}
}

// frozen is for how long the flock still is, as far as this agent knows.
func (a *Agent) frozen(now time.Duration) time.Duration {
	f := a.freeze.Load()
	if f == nil {
		return 0
	}
	return max(0, f.until-now)
}

// freezeTold is what gossip tells the others. What is left changes in steps, so
// that gossip does not speak of it all the time.
func (l *life) freezeTold() freezeNotice {
	f, now := l.freeze.Load(), l.now()
	if f == nil || now >= f.forget {
		return freezeNotice{}
	}
	left, step := max(0, f.until-now), time.Minute
	if left > 10*step {
		step *= 5
	}
	return freezeNotice{Stamp: f.stamp, Left: (left + step - 1) / step * step}
}

// tellFreeze tells the others when there is something new.
func (l *life) tellFreeze() {
	if told := l.freezeTold(); told != l.toldFreeze {
		l.toldFreeze = told
		l.tellMeta()
	}
}

// thawsIn shows what is left in whole minutes: a text that changes more often
// would wake every watcher.
func thawsIn(left time.Duration) string {
	if left < time.Minute {
		return "less than a minute"
	}
	left = left.Round(time.Minute)
	if h := left / time.Hour; h > 0 {
		return fmt.Sprintf("%dh%02dm", h, (left%time.Hour)/time.Minute)
	}
	return fmt.Sprintf("%dm", left/time.Minute)
}
