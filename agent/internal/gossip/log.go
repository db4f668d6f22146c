package gossip

import (
	"log/slog"
	"regexp"
	"strings"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/election"
	"duckduckgoose/agent/quietlog"
)

// logWriter takes memberlist's log lines, "[WARN] memberlist: ...". It logs warnings once
// a minute for each kind of line, because the network can cause any number of them;
// the rest has the debug level. It replaces ids by names, and removes bytes that are
// no text.
type logWriter struct {
	log    *slog.Logger
	quiet  *quietlog.Log
	closed <-chan struct{} // closed with the port: failures are expected from then on
	nameOf func(election.ID) string
}

// longestLine bounds what is kept of a line.
const longestLine = 300

// usual matches the warnings that come with every start and death of another agent.
// This program logs those itself.
var usual = regexp.MustCompile(`^(Refuting |Failed (fallback TCP|UDP) ping|Push/Pull with |Got bad state for |Failed to send)`)

var idInText = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

func (w *logWriter) Write(b []byte) (int, error) {
	select {
	case <-w.closed:
		return len(b), nil
	default:
	}
	line := strings.TrimSpace(string(b))
	if i := strings.IndexByte(line, '['); i >= 0 {
		line = line[i:]
	}
	level, text, ok := strings.Cut(strings.TrimPrefix(line, "["), "] ")
	if !ok {
		level, text = "INFO", line
	}
	kind := template(strings.TrimPrefix(text, "memberlist: "))
	text = w.readable(strings.TrimPrefix(text, "memberlist: "))
	if level == "DEBUG" || level == "INFO" || usual.MatchString(text) {
		w.log.Debug("gossip: " + text)
	} else {
		w.quiet.Warn("gossip "+kind, "gossip: "+text)
	}
	return len(b), nil
}

// readable returns a line for people.
func (w *logWriter) readable(text string) string {
	text, _, _ = strings.Cut(text, " meta:(") // bytes
	if len(text) > longestLine {
		text = text[:longestLine] + "..."
	}
	text = idInText.ReplaceAllStringFunc(text, func(word string) string {
		id, err := election.ParseID(word)
		if name := w.nameOf(id); err == nil && name != "" {
			return name
		}
		return word
	})
	return api.Clean(strings.ToValidUTF8(text, "?"))
}

// template returns a line without what differs between peers.
func template(s string) string {
	words := strings.Fields(s)
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, strings.Join(words[:min(5, len(words))], " "))
}
