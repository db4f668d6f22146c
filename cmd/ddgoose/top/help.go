package top

import "strings"

// helpText explains the screen: keys first, then what the columns say.
const helpText = `arrows, j k       select an agent; page keys, home and end go further
enter             look into it: status, why, warnings, counters
esc               back; all rows again
s, S              sort by name, role, round trip, age, state; S: backwards
r                 reverse the order
/                 show only rows with these letters
p, space          pause: the screen stands still, and catches up later
ctrl-l, ctrl-z    draw anew; suspend
q, ctrl-c         quit

LEASE LEFT        for so long a majority elects nobody but the goose
FOLLOWS           the goose that this agent hears
TERM TOKEN        of the election; the fencing token of the goose
PROMISE           whom a voter will elect alone, for how long
RTT LOSS          round trips, lost heartbeats: "RTT from" says whose
AGE               of the process, or since it ended

The line of time has a goose's name where it began; BROKEN is a time without.`

func helpLines(width int, g *glyphs) (lines []line) {
	for text := range strings.Lines(strings.Replace(helpText, "BROKEN", g.broken, 1)) {
		text = strings.TrimRight(text, "\n")
		key, what := text, ""
		if len(text) > 18 && text[17] == ' ' && strings.Contains(text[:18], "  ") {
			key, what = text[:18], text[18:]
		}
		if len(text) <= width && what != "" {
			lines = append(lines, line{spans: []span{{key, strong}, {what, plain}}})
			continue
		}
		for _, folded := range fold(text, width) {
			lines = append(lines, says(plain, folded))
		}
	}
	return lines
}
