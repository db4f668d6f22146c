package agent

import (
	"log/slog"
	"strings"

	"duckduckgoose/agent/quietlog"
)

// gossipLog takes memberlist's log lines, "[WARN] memberlist: ...", and keeps
// their levels. What repeats is written once a minute: most of them are about
// what arrived by network.
type gossipLog struct {
	log   *slog.Logger
	quiet *quietlog.Log
	over  <-chan struct{} // closed: the network is, and what fails by it is no news
}

func (w *gossipLog) Write(b []byte) (int, error) {
	select {
	case <-w.over:
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

// template is what lines about different peers have in common.
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
