package agent

import (
	"context"
	"maps"
	"slices"
	"strings"

	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/agent/internal/gossip"
	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/member"
)

// membership returns the present members of the flock.
func (l *life) membership() checkup.Members {
	r := checkup.Members{Gossip: l.gossip, Self: l.id}
	for _, p := range l.peers() {
		switch p.State {
		case member.Alive:
			r.Live = append(r.Live, p)
		case member.Failed:
			r.Absent = append(r.Absent, p)
		}
	}
	if l.node() != nil {
		rec := l.node().Record()
		for _, v := range rec.Config.Members() {
			if !slices.ContainsFunc(l.peers(), func(p member.Peer) bool { return p.ID == v.ID }) {
				r.Absent = append(r.Absent, member.Peer{ID: v.ID, State: member.Failed, Meta: member.Meta{Name: l.nameOf(v.ID)}})
			}
		}
	}
	byName := func(a, b member.Peer) int { return strings.Compare(a.Meta.Name, b.Meta.Name) }
	slices.SortFunc(r.Live, byName)
	slices.SortFunc(r.Absent, byName)
	return r
}

func (a *Agent) askable(ctx context.Context) (checkup.Members, error) {
	return look(ctx, a, func(l *life) (checkup.Members, error) { return l.membership(), nil })
}

// handlers returns the handlers of the questions that other agents may ask.
func (l *life) handlers() map[string]gossip.Handler {
	all := l.keyChanger.Handlers()
	maps.Copy(all, l.examiner.Handlers())
	maps.Copy(all, map[string]gossip.Handler{
		why.Question: l.Agent.answerWhy, freezeQuestion: l.Agent.answerFreeze, historyQuestion: l.Agent.answerHistory, tablesQuestion: l.Agent.answerTable, clockQuestion: l.Agent.answerClock,
	})
	return all
}
