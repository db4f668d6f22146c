package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/member"
)

// clockQuestion asks another agent for its wall clock.
const clockQuestion = "clock"

// clockWait bounds the wait for the clocks of the voters.
const clockWait = time.Second

// wallClock is the answer to clockQuestion.
type wallClock struct {
	Unix int64 `json:"unix_ns"`
}

func (a *Agent) answerClock(context.Context, election.ID, json.RawMessage) (any, error) {
	return wallClock{a.cfg.WallClock().UnixNano()}, nil
}

// mark returns the election's mark as this agent has saved it.
func (e *Election) mark(ctx context.Context) (api.Mark, error) {
	return look(ctx, e.a, func(l *life) (m api.Mark, err error) {
		if part := l.member.Named(e.at.name); part != nil {
			m.Mark, m.Committed = part.Mark(l.now())
		}
		return m, nil
	})
}

// advance raises the mark, and returns once it is committed.
func (e *Election) advance(ctx context.Context, to, token uint64) error {
	_, err := ask(ctx, e.a, func(l *life, answer func(struct{}, error)) error {
		part := l.member.Named(e.at.name)
		if part == nil {
			answer(struct{}{}, api.Conflict("election %q has not begun yet at this agent", e.at.name))
			return nil
		}
		l.member.AdvanceMark(part, to, token, func(err error) { answer(struct{}{}, l.explained(err)) })
		return nil
	})
	return err
}

// checkSlot refuses the number of a slot that is too far ahead of what most clocks of
// the voters say, so that one wrong clock cannot take the slots of the future. Clocks of agents
// that do not answer, or of a version that does not tell, are unknown.
func (e *Election) checkSlot(ctx context.Context, slot uint64, length time.Duration) error {
	type known struct {
		gossip *gossip.Gossip
		voters []member.Peer
		name   string
	}
	k, err := look(ctx, e.a, func(l *life) (k known, err error) {
		k.gossip, k.name = l.gossip, l.cfg.Name
		part := l.member.Named(e.at.name)
		if part == nil || part.Node() == nil {
			return k, nil
		}
		rec := part.Node().Record()
		for _, v := range rec.Config.Members() {
			if p, ok := l.peerAlive(v.ID); ok && v.ID != l.id {
				k.voters = append(k.voters, p)
			}
		}
		return k, nil
	})
	if err != nil {
		return err
	}
	clocks := append(e.a.clocksOf(ctx, k.gossip, k.voters), clockAt{name: k.name})
	return judgeSlot(slot, length, e.a.cfg.WallClock(), clocks)
}

// clockAt is by how much the clock of an agent is ahead of this one's.
type clockAt struct {
	name  string
	ahead time.Duration
}

// clocksOf asks agents for their wall clocks, all at once. Half the time that an answer
// takes is how wrong it may be.
func (a *Agent) clocksOf(ctx context.Context, g *gossip.Gossip, peers []member.Peer) (clocks []clockAt) {
	ctx, cancel := context.WithTimeout(ctx, clockWait)
	defer cancel()
	var asked sync.WaitGroup
	var mu sync.Mutex
	for _, p := range peers {
		asked.Go(func() {
			before := a.cfg.WallClock()
			body, err := g.Ask(ctx, p, clockQuestion, struct{}{})
			took := a.cfg.WallClock().Sub(before)
			var told wallClock
			if err != nil || json.Unmarshal(body, &told) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			clocks = append(clocks, clockAt{p.Meta.Name, time.Unix(0, told.Unix).Sub(before.Add(took / 2))})
		})
	}
	asked.Wait()
	return clocks
}

// judgeSlot refuses a slot unless more than half of the known clocks say that it is at
// most [api.SlotLead] slots ahead. The last of clocks is this agent's own.
func judgeSlot(slot uint64, length time.Duration, now time.Time, clocks []clockAt) error {
	own := clocks[len(clocks)-1].name
	slices.SortFunc(clocks, func(a, b clockAt) int { return cmp.Compare(a.ahead, b.ahead) })
	// Of those in the middle the slower one: half of the clocks do not make a slot near.
	judge := clocks[(len(clocks)-1)/2]
	theirs := api.SlotOf(now.Add(judge.ahead), length)
	if slot <= theirs+api.SlotLead {
		return nil
	}
	fault := fmt.Sprintf("the clock of %s is %v ahead of that of %s", own, (-judge.ahead).Round(time.Millisecond), judge.name)
	if slot > api.SlotOf(now, length)+api.SlotLead || judge.ahead >= 0 {
		fault = fmt.Sprintf("the clock of the program that asks is ahead of that of %s", own)
	}
	return api.WithCode(api.CodeClockAhead, api.Conflict(
		"slot %d of %v is %d slots ahead of the clocks of most voters: %s; correct it (chronyc tracking shows it), then try again",
		slot, length, slot-theirs, fault))
}
