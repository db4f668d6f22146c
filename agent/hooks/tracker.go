package hooks

import (
	"maps"

	"duckduckgoose/agent/api"
)

// tracker turns what it sees of an agent into events.
type tracker struct {
	seq     uint64
	begun   bool // the agent has started in its flock
	status  api.Status
	members map[string]api.Member // other agents, by id
}

// see compares the state now with the last one, and returns the events. An agent that
// has not started, for example because its port is taken, has no events.
func (t *tracker) see(s api.Status, members []api.Member) (events []Event) {
	if !t.begun && s.Alive == 0 {
		return nil
	}
	was, first := t.status, !t.begun
	t.begun, t.status = true, s
	if role := roleOf(s); first || roleOf(was) != role || role == Goose && was.Token != s.Token {
		events = append(events, t.event(role))
	}
	if gooseOf(was) != gooseOf(s) {
		events = append(events, t.event(Change))
	}
	if t.members == nil {
		t.members = map[string]api.Member{}
	}
	for _, m := range members {
		old, known := t.members[m.ID]
		if m.ID == s.ID || known && sameMember(old, m) {
			continue
		}
		t.members[m.ID] = m
		e := t.event(Member)
		e.Member, e.Was = &m, old.State
		events = append(events, e)
	}
	t.forget(members)
	return events
}

// forget drops members that are no longer listed, without an event: they failed or left
// long ago.
func (t *tracker) forget(listed []api.Member) {
	if len(t.members) < len(listed) {
		return
	}
	still := map[string]bool{}
	for _, m := range listed {
		still[m.ID] = true
	}
	maps.DeleteFunc(t.members, func(id string, _ api.Member) bool { return !still[id] })
}

// present returns the present state as events for these hooks only.
func (t *tracker) present(hooks []Hook) (events []Event) {
	if !t.begun || len(hooks) == 0 {
		return nil
	}
	add := func(e Event) { events = append(events, e) }
	add(t.event(roleOf(t.status)))
	if t.status.Goose != nil {
		add(t.event(Change))
	}
	for _, m := range t.members {
		e := t.event(Member)
		e.Member = &m
		add(e)
	}
	for i := range events {
		events[i].only = hooks
	}
	return events
}

func (t *tracker) event(kind Kind) Event {
	t.seq++
	return Event{Kind: kind, Seq: t.seq, Status: t.status}
}

func roleOf(s api.Status) Kind {
	if s.Role == api.RoleGoose {
		return Goose
	}
	return Duck
}

// known is the goose that an agent knows, as Change compares it.
type known struct {
	id    string
	token uint64
}

func gooseOf(s api.Status) known {
	if s.Goose == nil {
		return known{}
	}
	return known{s.Goose.ID, s.Token}
}

// sameMember compares everything except what changes all the time, and except the role,
// which Change is about.
func sameMember(a, b api.Member) bool {
	return a.Name == b.Name && a.Addr == b.Addr && a.State == b.State && a.Voter == b.Voter && a.Priority == b.Priority && maps.Equal(a.Tags, b.Tags)
}
