package top

import (
	"cmp"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

// News turns the changes between pictures into lines.
type News struct {
	last   Picture
	known  bool
	goose  Goose // of the last period that was told
	voters int
	note   string // the last one told; a note that all agents have is told once
	notes  map[string]noted
	lost   time.Time // when the last goose was lost; zero: there is one, or never was one
}

// noted is an agent's note; "": none.
type noted struct {
	note  string
	since time.Time
	told  bool
}

// lasting is how long a note must stand before it is news: a founding, for example, is over
// in a moment.
const lasting = time.Second

// Event is a line of news.
type Event struct {
	text  string
	style style
}

func (e Event) String() string { return e.text }

// Tell returns an event for every change since the last picture.
func (n *News) Tell(p Picture) (events []Event) {
	told := func(style style, format string, args ...any) {
		events = append(events, Event{fmt.Sprintf(format, args...), style})
	}
	say := func(format string, args ...any) { told(plain, format, args...) }
	before := map[string]*Agent{}
	for i := range n.last.Agents {
		before[n.last.Agents[i].Name] = &n.last.Agents[i]
	}
	for i := range p.Agents {
		now := &p.Agents[i]
		old := before[now.Name]
		switch {
		case old != nil:
			n.tellAgent(old, now, say)
		case n.last.From != "": // before that only one agent was known
			say("%s is new: %s", now.Name, now.State)
		case now.Local:
			n.tellAgent(&Agent{Name: now.Name, State: StateStarting}, now, say)
		}
		delete(before, now.Name)
	}
	for i := range n.last.Agents { // in order
		if name := n.last.Agents[i].Name; before[name] != nil {
			say("%s is no longer listed", name)
		}
	}
	n.tellNotes(&p, say)
	n.tellGoose(&p, told)
	if p.Faults != n.last.Faults {
		say("faults: %s", cmp.Or(p.Faults, "none"))
	}
	n.last, n.known = p, true
	return events
}

func (n *News) tellAgent(old, now *Agent, say func(string, ...any)) {
	switch {
	case now.State == old.State:
	case now.State == StateUp:
		say("%s is up", now.Name)
	case now.State == StateKilled:
		say("%s was killed", now.Name)
	case now.State == StateEnded:
		say("%s", now.Note)
	case old.State == StateUp:
		say("%s does not answer", now.Name)
	case !now.Local:
		say("%s is %s", now.Name, now.State)
	}
	if now.State != StateUp {
		return
	}
	was, is := &old.Status, &now.Status
	if was.Role != is.Role && (was.Role == api.RoleDead || is.Role == api.RoleDead) {
		if is.Role == api.RoleDead {
			say("%s is dead by simulation", now.Name)
		} else {
			say("%s is revived", now.Name)
		}
	}
}

// tellNotes reports the notes that last.
func (n *News) tellNotes(p *Picture, say func(string, ...any)) {
	notes := map[string]noted{}
	for i := range p.Agents {
		a := &p.Agents[i]
		is := n.notes[a.Name]
		if a.State != StateUp || a.Note != is.note {
			is = noted{note: a.Note, since: p.At}
		}
		if a.State == StateUp && a.Note != "" && !is.told && p.At.Sub(is.since) >= lasting {
			if is.told = true; a.Note != n.note {
				say("%s: %s", a.Name, a.Note)
				n.note = a.Note
			}
		}
		notes[a.Name] = is
	}
	n.notes = notes
}

func (n *News) tellGoose(p *Picture, tell func(style, string, ...any)) {
	goose := p.Goose()
	gap := api.Span(p.At.Sub(n.lost))
	switch {
	case goose.Token == 0:
		if n.goose.Token != 0 && n.lost.IsZero() {
			n.lost = p.At
			tell(bad, "%s is no longer the goose; there is none", n.goose.Name)
		}
		return
	case goose.Token == n.goose.Token && n.lost.IsZero():
	case goose.Token == n.goose.Token:
		tell(good, "%s is the goose again, in term %d: %s without one", goose.Name, goose.Term, gap)
	case n.goose.Token == 0:
		tell(good, "%s is the goose, term %d", goose.Name, goose.Term)
	case n.lost.IsZero():
		tell(good, "%s is the goose, term %d, after %s", goose.Name, goose.Term, n.goose.Name)
	default:
		tell(good, "%s is the goose, term %d: %s without one", goose.Name, goose.Term, gap)
	}
	if best := p.best(); best != nil && len(best.Config.Voters) != n.voters {
		n.voters = len(best.Config.Voters)
		if n.voters > len(p.Agents) { // on disks of a larger flock
			tell(plain, "there are %d voters", n.voters)
		} else {
			tell(plain, "%d of %d are voters", n.voters, len(p.Agents))
		}
	}
	n.goose, n.lost = goose, time.Time{}
}
