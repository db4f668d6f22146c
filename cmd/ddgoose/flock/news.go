package flock

import (
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

// news tells in lines what changed from one picture to the next.
type news struct {
	last  picture
	known bool
	// goose, token, voters: of the last goose period that was told.
	goose  string
	token  uint64
	voters int
	note   string    // the last one told: what all say need not be told for each
	lost   time.Time // since when there is none; zero: there is one, or never was
}

// tell gives a line for every change.
func (n *news) tell(p picture) (lines []string) {
	say := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	if !n.known {
		n.known = true
		n.last = picture{agents: make([]portrait, len(p.agents))}
		for i := range p.agents {
			n.last.agents[i] = portrait{name: p.agents[i].name, state: stateStarting}
		}
	}
	for i := range p.agents {
		n.tellAgent(&n.last.agents[i], &p.agents[i], say)
	}
	n.tellGoose(&p, say)
	if p.faults != n.last.faults {
		say("faults: %s", orElse(p.faults, "none"))
	}
	n.last = p
	return lines
}

func (n *news) tellAgent(old, now *portrait, say func(string, ...any)) {
	switch {
	case now.state == old.state:
	case now.state == stateUp:
		say("%s is up", now.name)
	case now.state == stateKilled:
		say("%s was killed", now.name)
	case now.state == stateEnded:
		say("%s", now.note)
	case old.state == stateUp:
		say("%s does not answer", now.name)
	}
	if now.state != stateUp {
		return
	}
	was, is := &old.status, &now.status
	if was.Role != is.Role && (was.Role == api.RoleDead || is.Role == api.RoleDead) {
		if is.Role == api.RoleDead {
			say("%s is dead by simulation", now.name)
		} else {
			say("%s is revived", now.name)
		}
	}
	if old.state == stateUp && now.note != old.note && now.note != n.note && now.note != "" {
		say("%s: %s", now.name, now.note)
		n.note = now.note
	}
}

func (n *news) tellGoose(p *picture, say func(string, ...any)) {
	goose := p.goose()
	switch {
	case goose == nil:
		if n.token != 0 && n.lost.IsZero() {
			n.lost = p.at
			say("no goose: %s is none any more", n.goose)
		}
		return
	case goose.status.Token == n.token && n.lost.IsZero():
	case goose.status.Token == n.token:
		say("%s is the goose again, in term %d: %d ms without one", goose.name, goose.status.Term, p.at.Sub(n.lost).Milliseconds())
	case n.token == 0:
		say("%s is the goose, term %d", goose.name, goose.status.Term)
	case n.lost.IsZero():
		say("%s is the goose, term %d, after %s", goose.name, goose.status.Term, n.goose)
	default:
		say("%s is the goose, term %d: %d ms without one", goose.name, goose.status.Term, p.at.Sub(n.lost).Milliseconds())
	}
	if voters := len(goose.status.Config.Voters); voters != n.voters {
		say("%d of %d are voters", voters, len(p.agents))
		n.voters = voters
	}
	n.goose, n.token, n.lost = goose.name, goose.status.Token, time.Time{}
}
