package top

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Hint is a command to try.
type Hint struct{ What, Command string }

// model is the state of the screen.
type model struct {
	glyphs *glyphs
	ends   string                    // what quitting does
	hints  func(goose string) []Hint // nil: none

	now    scene
	frozen *scene // what is shown while paused
	news   News

	selected string // an agent's name
	row      int    // where it was last
	order    int    // of orders
	reverse  bool
	filter   string
	editing  bool   // the filter is being typed
	before   string // the filter that typing began with
	help     bool
	helpAt   int    // as scroll, for it
	looking  string // the agent that is looked into; "": the table is shown
	inside   inside
	scroll   int // of lines that do not fit
	steady   steady
	actions  []Action
	pending  *pending // nil: nothing waits for a yes
}

// scene is the flock as it is shown.
type scene struct {
	picture    Picture
	history    history
	roundTrips roundTrips
	recent     []dated   // the latest news, oldest first
	noted      time.Time // when an agent last had a note
}

// dated is an event and its time of day.
type dated struct {
	at string
	Event
}

// recentKept bounds the lines of news.
const recentKept = 50

// see takes a new picture, and reports whether the goose has changed.
func (m *model) see(p Picture) (urgent bool) {
	urgent = m.now.picture.Goose() != p.Goose() || m.now.picture.Trouble != p.Trouble
	if m.now.history.known() || p.best() != nil { // nothing is known before an agent answers
		m.now.history.add(p.At, p.Goose())
	}
	for _, e := range m.news.Tell(p) {
		m.tell(p.At, e)
	}
	m.now.roundTrips = m.now.roundTrips.add(&p)
	m.now.picture = p
	if slices.ContainsFunc(p.Agents, func(a Agent) bool { return a.Note != "" }) {
		m.now.noted = p.At
	}
	return urgent && m.frozen == nil
}

// tell adds a line of news.
func (m *model) tell(at time.Time, e Event) {
	m.now.recent = append(m.now.recent, dated{at.Format("15:04:05.000 "), e})
	m.now.recent = m.now.recent[max(0, len(m.now.recent)-recentKept):]
}

// shown is the scene on the screen.
func (m *model) shown() *scene {
	if m.frozen != nil {
		return m.frozen
	}
	return &m.now
}

// pause freezes the screen while pictures are still taken. A second call shows the
// present again.
func (m *model) pause() {
	if m.frozen != nil {
		m.frozen = nil
		return
	}
	c := m.now
	c.history.periods = slices.Clone(m.now.history.periods)
	c.recent = slices.Clone(m.now.recent)
	m.frozen = &c
}

// order is one way to sort.
type order struct {
	name    string
	column  string // that shows it, "" for none
	compare func(a, b *Agent, g Goose) int
}

var orders = []order{
	{"name", "AGENT", func(*Agent, *Agent, Goose) int { return 0 }},
	{"role", "ROLE", func(a, b *Agent, g Goose) int { return cmp.Compare(roleRank(a, g), roleRank(b, g)) }},
	{"round trip", "RTT", func(a, b *Agent, _ Goose) int { return compareKnown(a.RTT, b.RTT) }},
	{"age", "AGE", func(a, b *Agent, _ Goose) int { return cmp.Compare(a.Age, b.Age) }},
	{"state", "", func(a, b *Agent, _ Goose) int { return cmp.Compare(stateRank(a), stateRank(b)) }},
}

func roleRank(a *Agent, g Goose) int {
	for rank, role := range []string{"goose", "candidate", "duck", "witness", "observer"} {
		if a.role(g) == role {
			return rank
		}
	}
	return 10 + stateRank(a)
}

func stateRank(a *Agent) int {
	return slices.Index([]string{StateUp, StateAlive, StateStarting, StateSuspect, StateSilent, StateUnknown, StateFailed, StateKilled, StateEnded, StateLeft}, a.State)
}

// compareKnown sorts unknown values last.
func compareKnown(a, b *time.Duration) int {
	switch {
	case a != nil && b != nil:
		return cmp.Compare(*a, *b)
	case a != nil:
		return -1
	case b != nil:
		return 1
	}
	return 0
}

// rows are the agents that the table shows, in its order.
func (m *model) rows() (rows []*Agent) {
	p := &m.shown().picture
	goose := p.Goose()
	for i := range p.Agents {
		if m.matches(&p.Agents[i], goose) {
			rows = append(rows, &p.Agents[i])
		}
	}
	o := orders[m.order]
	slices.SortStableFunc(rows, func(a, b *Agent) int {
		by := cmp.Or(o.compare(a, b, goose), strings.Compare(a.Name, b.Name))
		if m.reverse {
			return -by
		}
		return by
	})
	return rows
}

// matches reports whether an agent matches the filter: a word of its row contains the
// filter's text.
func (m *model) matches(a *Agent, g Goose) bool {
	if m.filter == "" {
		return true
	}
	words := []string{a.Name, a.role(g), a.State, a.addr(), a.Note}
	if a.Member != nil {
		for k, v := range a.Member.Tags {
			words = append(words, k+"="+v)
		}
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(w), strings.ToLower(m.filter)) })
}

// at returns the index of the selected agent in rows, or its last index if it is no longer
// there. -1: there are no rows.
func (m *model) at(rows []*Agent) int {
	i := slices.IndexFunc(rows, func(a *Agent) bool { return a.Name == m.selected })
	if i < 0 {
		i = min(m.row, len(rows)-1)
	}
	return i
}

// agent finds an agent of what is shown by name; nil: it is not there.
func (m *model) agent(name string) *Agent {
	all := m.shown().picture.Agents
	if i := slices.IndexFunc(all, func(a Agent) bool { return a.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}
