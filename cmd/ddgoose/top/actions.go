package top

import (
	"context"
	"fmt"
	"time"
)

// Action is what a key does to the flock or to the selected agent, after the user has
// confirmed it.
type Action struct {
	Key  string               // one capital letter
	Word string               // for the line of keys
	Says func(a Agent) string // what is to be confirmed, as "kill a"
	Do   func(ctx context.Context, a Agent) error
}

// actWait bounds an action.
const actWait = 10 * time.Second

// pending is an action that waits for the user's confirmation.
type pending struct {
	action *Action
	agent  Agent
}

func (p *pending) String() string { return p.action.Says(p.agent) }

// propose asks the user to confirm the action of a key.
func (m *model) propose(k string) {
	for i := range m.actions {
		if a := m.agent(m.selectedName()); m.actions[i].Key == k && a != nil {
			m.pending = &pending{&m.actions[i], *a}
		}
	}
}

// selectedName returns the agent that is looked into, or that of the selected row.
func (m *model) selectedName() string {
	if m.looking != "" {
		return m.looking
	}
	rows := m.rows()
	if i := m.at(rows); i >= 0 {
		return rows[i].Name
	}
	return ""
}

// done shows an error of an action. Successes are seen by their effect.
func (m *model) done(p *pending, err error, at time.Time) {
	if err != nil {
		m.tell(at, Event{fmt.Sprintf("%v: %v", p, err), bad})
	}
}

// do carries out an action.
func (p *pending) do(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, actWait)
	defer cancel()
	return p.action.Do(ctx, p.agent)
}
