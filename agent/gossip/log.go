package gossip

import (
	"log/slog"
	"strings"

	"duckduckgoose/agent/quietlog"
)

// logWriter takes memberlist's log lines, "[WARN] memberlist: ...", and keeps
// their levels. Similar lines are written once a minute, as most of them are
// about what arrived by network.
type logWriter struct {
	log    *slog.Logger
	quiet  *quietlog.Log
	closed <-chan struct{} // closed with the port: failures are expected from then on
}

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
	text = strings.TrimPrefix(text, "memberlist: ")
	switch level {
	case "DEBUG", "INFO":
		w.log.Debug(text, "from", "gossip")
	default:
		w.quiet.Warn("gossip "+template(text), text, "from", "gossip")
	}
	return len(b), nil
}

// template gives what lines about different peers have in common.
func template(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, firstWords(s, 5))
}

func firstWords(s string, n int) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(n, len(words))], " ")
}
