package agent

import (
	"fmt"
	"strings"
	"time"

	"duckduckgoose/agent/internal/why"
	"duckduckgoose/agent/port"
	"duckduckgoose/agent/quietlog"
)

// problems are warnings about events.
type problems struct {
	quiet   *quietlog.Log
	recent  []timedWarning
	reports chan string // from other goroutines
}

func newProblems(quiet *quietlog.Log) problems {
	return problems{quiet: quiet, reports: make(chan string, problemsKept)}
}

// timedWarning is a warning about an event, shown for problemShown.
type timedWarning struct {
	text  string
	until time.Duration
}

// problem adds a warning about an event, and logs it.
func (l *life) problem(text string) { l.keep(&l.warnings.members, text) }

func (l *life) keep(ps *problems, text string) {
	until := l.now() + problemShown
	for i := range ps.recent {
		if ps.recent[i].text == text {
			ps.recent[i].until = until
			return
		}
	}
	ps.quiet.Warn("problem "+text, text)
	if len(ps.recent) < problemsKept {
		ps.recent = append(ps.recent, timedWarning{text, until})
		l.member.LookNow()
	}
}

// report is keep for other goroutines. It never waits for the loop, because memberlist
// calls it under its lock.
func (ps *problems) report(text string) {
	select {
	case ps.reports <- text:
	default:
		ps.quiet.Warn("problem "+text, text) // at least the log has it
	}
}

// takeReports adds the reports of other goroutines to the warnings.
func (l *life) takeReports(ps *problems) {
	for {
		select {
		case text := <-ps.reports:
			l.keep(ps, text)
		default:
			return
		}
	}
}

func (l *life) foreignLabel(addr, label string) {
	if l.strange.Due("label " + port.Host(addr)) {
		l.warnings.strangers.report(fmt.Sprintf("agent at %s is of flock %q, and this one is of %q: give both the same --flock, or different --join addresses", addr, label, l.cfg.Flock))
	}
}

// sameKeys ends each warning about keys that differ.
const sameKeys = ": " + why.KeysRemedy

// otherKeys reports an agent that seals with other keys; any goroutine.
func (l *life) otherKeys(host, text string) {
	if l.strange.Due("keys " + host) {
		l.warnings.strangers.report(text + sameKeys)
	}
}

// keyFaults returns the warnings about agents of other keys, while this agent knows no
// goose: then they are the cause.
func (l *life) keyFaults(now time.Duration) (texts []string) {
	if goose, self := l.member.Default().Goose(now); self || !goose.IsZero() {
		return nil
	}
	for _, p := range l.warnings.strangers.recent {
		if strings.HasSuffix(p.text, sameKeys) {
			texts = append(texts, p.text)
		}
	}
	return texts
}

// otherVersion reports an agent of another version of gossip; any goroutine.
func (l *life) otherVersion(host, text string) {
	if l.strange.Due("version " + host) {
		l.warnings.strangers.report(text + ": it cannot join: run the same version of ddgoose everywhere")
	}
}
