package agent

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/gossip"
	"duckduckgoose/agent/member"
)

// membership is the members of the flock at one moment: those that can be asked
// and those that cannot.
type membership struct {
	gossip *gossip.Gossip
	self   election.ID
	live   []member.Peer // by name, this agent included
	absent []member.Peer // dead ones, and voters that gossip has forgotten
}

func (l *life) membership() membership {
	r := membership{gossip: l.gossip, self: l.id}
	for _, p := range l.peers {
		switch p.State {
		case member.Alive:
			r.live = append(r.live, p)
		case member.Failed:
			r.absent = append(r.absent, p)
		}
	}
	if l.node() != nil {
		rec := l.node().Record()
		for _, v := range rec.Config.Members() {
			if !slices.ContainsFunc(l.peers, func(p member.Peer) bool { return p.ID == v.ID }) {
				r.absent = append(r.absent, member.Peer{ID: v.ID, State: member.Failed, Meta: member.Meta{Name: l.nameOf(v.ID)}})
			}
		}
	}
	byName := func(a, b member.Peer) int { return strings.Compare(a.Meta.Name, b.Meta.Name) }
	slices.SortFunc(r.live, byName)
	slices.SortFunc(r.absent, byName)
	return r
}

func (a *Agent) askable(ctx context.Context) (membership, error) {
	return ask(ctx, a, func(l *life, answer func(membership, error)) error {
		answer(l.membership(), nil)
		return nil
	})
}

// addrText gives an address; "": unknown.
func addrText(p member.Peer) string {
	if p.Addr.IsValid() {
		return p.Addr.String()
	}
	return ""
}

// handlers answer what other agents may ask this one.
func (l *life) handlers() map[string]gossip.Handler {
	all := l.keyChanger.Handlers()
	maps.Copy(all, map[string]gossip.Handler{
		measureQuestion: l.Agent.answerMeasure, checkupQuestion: l.Agent.answerCheckup, pingQuestion: answerPing, whyQuestion: l.Agent.answerWhy,
		freezeQuestion: l.Agent.answerFreeze, tablesQuestion: l.Agent.answerTable,
	})
	return all
}

func answerPing(context.Context, election.ID, json.RawMessage) (any, error) { return struct{}{}, nil }
