package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

// inside is what one agent has answered about itself.
type inside struct {
	name   string
	at     time.Time // of the last answer; zero: there is none yet
	status string    // the text of ddgoose status
	why    string    // as ddgoose why does
	err    error     // of the last question

	uptime   float64
	counters map[string]uint64
	rates    map[string]float64 // per second, of those that have moved since it is looked at
}

// answer is an agent's answer about itself.
type answer struct {
	name        string
	at          time.Time
	status      api.Status
	told, whyIs string // status and why for a person
	err         error
}

// learn takes an answer, unless the screen shows another agent by now.
func (m *model) learn(a answer) {
	if a.name != m.looking || m.frozen != nil {
		return
	}
	in := &m.inside
	if in.err = a.err; a.err != nil {
		return
	}
	if a.status.Uptime < in.uptime { // it was restarted, and counts from 0
		in.counters, in.rates = nil, nil
	}
	if in.rates == nil {
		in.rates = map[string]float64{}
	}
	passed := a.at.Sub(in.at).Seconds()
	for name, n := range a.status.Counters {
		was := in.counters[name]
		_, moved := in.rates[name]
		if in.counters != nil && (moved || n != was) && passed > 0 && n >= was {
			in.rates[name] = float64(n-was) / passed
		}
	}
	in.at, in.status, in.why = a.at, a.told, a.whyIs
	in.uptime, in.counters = a.status.Uptime, a.status.Counters
}

// linesInside shows everything that is known about one agent.
func (m *model) linesInside(width int) (lines []line) {
	text := func(s style, text string) {
		for l := range strings.Lines(text) {
			for _, folded := range fold(strings.TrimRight(l, "\n"), width) {
				lines = append(lines, says(s, folded))
			}
		}
	}
	head := func(what string) { lines = append(lines, line{}, says(strong, what)) }
	a, in := m.agent(m.looking), &m.inside
	switch {
	case a == nil:
		return []line{says(bad, "It is no longer listed.")}
	case in.err != nil && a.Local && a.State == StateUp:
		text(bad, "It has not answered: "+in.err.Error())
	}
	if in.at.IsZero() || a.State != StateUp {
		m.factsInside(a, text)
		if a.Local && a.State == StateUp && in.err == nil {
			text(faint, "Waiting for its status.")
		}
		return lines
	}
	styled := func(whole, prefix string, prefixed style) {
		for l := range strings.Lines(whole) {
			s := plain
			if strings.HasPrefix(strings.TrimSpace(l), prefix) {
				s = prefixed
			}
			text(s, l)
		}
	}
	styled(in.status, "warning: ", notice)
	m.factsInside(a, text)
	if in.why != "" {
		head("Why")
		styled(in.why, ">", second)
	}
	head("Counters that move")
	if len(in.rates) == 0 {
		text(faint, "  None has moved yet.")
	}
	for _, name := range slices.Sorted(maps.Keys(in.rates)) {
		text(plain, fmt.Sprintf("  %-28s %12d %10.1f/s", name, in.counters[name], in.rates[name]))
	}
	return lines
}

// factsInside shows what others know about an agent and its own status does not say.
func (m *model) factsInside(a *Agent, text func(style, string)) {
	fact := func(key, format string, args ...any) {
		text(plain, fmt.Sprintf("  %-9s %s", key, fmt.Sprintf(format, args...)))
	}
	if a.State != StateUp {
		text(strong, a.Name+" is "+a.role(m.shown().picture.Goose()))
		if a.Note != "" {
			text(notice, "  "+a.Note)
		}
	}
	if mem := a.Member; mem != nil && a.State != StateUp {
		fact("address", "%s", cmp.Or(mem.Addr, "unknown"))
		fact("priority", "%d", mem.Priority)
		if len(mem.Tags) > 0 {
			var words []string
			for _, k := range slices.Sorted(maps.Keys(mem.Tags)) {
				words = append(words, k+"="+mem.Tags[k])
			}
			fact("tags", "%s", strings.Join(words, ", "))
		}
	}
	if a.RTT != nil || a.Loss != nil {
		fact("path", "round trip %s, loss %s, from %s", cmp.Or(rtt(a.RTT), "unknown"), cmp.Or(loss(a.Loss), "unknown"), m.shown().picture.From)
	}
	if a.Promise != nil {
		fact("promise", "%s", cmp.Or(promise(a.Promise), "none"))
	}
	if a.PID != 0 {
		fact("process", "%d", a.PID)
	}
	if a.Log != "" {
		fact("log", "%s", a.Log)
	}
	if !a.Local {
		text(faint, "")
		text(faint, "Its socket is on another machine: ddgoose status and why there tell the rest.")
	}
}
