package top

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// golden draws a screen as a file shows it: each line, and below it, where they are
// not plain, its styles by letter.
func golden(m *model, width, height int) string {
	const letters = ".fbg2nxGX"
	var b strings.Builder
	for _, l := range m.view(width, height) {
		mark := " "
		if l.selected {
			mark = ">"
		}
		b.WriteString(strings.TrimRight(mark+l.text(), " ") + "\n")
		styles := ""
		for _, s := range l.spans {
			styles += strings.Repeat(string(letters[s.style]), displaywidth.String(s.text))
		}
		if strings.Trim(styles, ".") != "" {
			b.WriteString("~" + strings.TrimRight(styles, ".") + "\n")
		}
	}
	return b.String()
}

func requireGolden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run with -rewrite and read the diff")
}

// answered is what agent d says of itself.
func answered(at time.Duration, counts uint64) answer {
	return answer{
		name: "d", at: noon.Add(at),
		status: api.Status{Uptime: at.Seconds(), Counters: map[string]uint64{"acks": counts, "still": 5}},
		told: "b is the goose of flock \"f\"; d is a duck\n  goose     b at 10.0.0.1:3825, heard 20ms ago\n" +
			"warning: something that a person should do something about, said at such a length that it has to be folded\n",
		whyIs: "d is a duck: it has no vote\n  - it is an observer\n    > wait\n",
	}
}

func TestScreens(t *testing.T) {
	hints := func(goose string) []Hint {
		return []Hint{{"kill the goose", "ddgoose flock kill " + goose}, {"cut the network", "ddgoose flock partition a,b/c,d,e"}}
	}
	scenes := map[string]func(m *model){
		"main":   func(*model) {},
		"hints":  func(m *model) { m.hints, m.ends = hints, "stop all" },
		"ascii":  func(m *model) { m.glyphs = &asciiGlyphs },
		"paused": func(m *model) { press(m, "j", "p") },
		"sorted": func(m *model) { press(m, "s", "s", "r", "down", "down") },
		"filter": func(m *model) { press(m, "/", "S", "E", "v", "backspace", "v", "e", "n") },
		"none":   func(m *model) { press(m, "/", "z", "z", "enter") },
		"help":   func(m *model) { press(m, "?") },
		"inside": func(m *model) {
			press(m, "j", "j", "j", "enter")
			m.learn(answered(41*time.Second, 10))
			m.learn(answered(42*time.Second, 30))
		},
		"inside-killed": func(m *model) { press(m, "j", "j", "enter") },
		"no-goose": func(m *model) {
			m.see(shot(61*time.Second, "", up("a", "", 7), gone("b", StateSilent, "")))
			m.see(shot(63*time.Second, "", up("a", "", 7), gone("b", StateSilent, "")))
		},
		"trouble": func(m *model) {
			p := shot(63*time.Second, "", gone("a", StateSilent, ""), remote("b", StateUnknown))
			p.Trouble = "nobody answers at /f/a.sock"
			m.see(p)
		},
		"remote": func(m *model) {
			m.see(shot(50*time.Second, "", up("a", "web-1", 8), remote("web-1", StateAlive), remote("web-2", StateSuspect), remote("web-3", StateFailed)))
		},
		"many": func(m *model) {
			p := shot(50*time.Second, "")
			for i := range 60 {
				p.Agents = append(p.Agents, remote(fmt.Sprintf("node-%02d", i), StateAlive))
			}
			p.Agents[30] = up("node-30", "node-30", 9)
			m.see(p)
			press(m, "end")
		},
	}
	for name, prepare := range scenes {
		for _, size := range [][2]int{{80, 24}, {40, 10}, {120, 40}} {
			m := newModel()
			prepare(m)
			requireGolden(t, fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]), golden(m, size[0], size[1]))
		}
	}
}

func TestEveryScreenFitsEveryWindow(t *testing.T) {
	m := newModel()
	wide := up("野鵝", "b", 7) // of two columns each
	p := busy(41 * time.Second)
	p.Agents = append(p.Agents, wide)
	m.see(p)
	for _, keys := range [][]string{nil, {"/", "x"}, {"esc", "?"}, {"?", "j", "j", "j", "enter"}} {
		press(m, keys...)
		if m.looking != "" {
			m.learn(answered(41*time.Second, 10))
		}
		for width := 0; width < 130; width += 3 {
			for height := 0; height < 45; height += 2 {
				lines := m.view(width, height)
				if width > 0 {
					require.Len(t, lines, height)
				}
				for _, l := range lines {
					require.LessOrEqual(t, l.width(), width, "%q", l.text())
				}
			}
		}
	}
}

func TestSmallWindowsKeepWhatMatters(t *testing.T) {
	m := newModel()
	narrow := golden(m, 30, 20)
	require.Contains(t, narrow, "b       goose     412 ms")
	require.NotContains(t, narrow, "TOKEN")
	low := m.view(80, 3)
	require.True(t, strings.HasPrefix(low[0].text(), "AGENT"))
	require.True(t, low[1].selected, "the agents outlast what stands around them")
}

func TestWhatComesFromTheNetworkCommandsNoTerminal(t *testing.T) {
	m := newModel()
	evil := up("a", "a", 8)
	evil.Name, evil.Status.Goose.Name, evil.Note = "a\x1b[2J", "x\x1b]0;y\a", "n\r\n\x9b"
	p := shot(50*time.Second, "f\x1b", evil)
	p.Title, p.Trouble = "t\x1b", "u\x1b"
	m.see(p)
	check := func() {
		for _, l := range m.view(120, 40) {
			require.Equal(t, clean(l.text()), l.text())
		}
	}
	check()
	press(m, "enter")
	m.learn(answer{name: evil.Name, at: noon, told: "s\x1b[1m\n", whyIs: "w\x1b\n", status: api.Status{Counters: map[string]uint64{"c\x1b": 1}}})
	m.learn(answer{name: evil.Name, at: noon.Add(time.Second), told: "s\x1b[1m\n", whyIs: "w\x1b\n", status: api.Status{Counters: map[string]uint64{"c\x1b": 2}}})
	check()
	m.learn(answer{name: evil.Name, err: errors.New("e\x1b")})
	check()
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		lines []string
	}{
		{"", 10, []string{""}},
		{"short", 10, []string{"short"}},
		{"one two three four", 9, []string{"one two", "three", "four"}},
		{"  - one two three", 11, []string{"  - one two", "    three"}},
		{"onewordthatislong", 6, []string{"onewor", "dthati", "slong"}},
		{"鵝鵝鵝", 4, []string{"鵝鵝", "鵝"}},
		{"鵝", 1, nil},
		{"exactly ten", 7, []string{"exactly", "ten"}},
	} {
		require.Equal(t, tt.lines, fold(tt.text, tt.width), "%q", tt.text)
	}
}
