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
	"duckduckgoose/cmd/ddgoose/monitor"
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
			p.Trouble = "no agent answers at /f/a.sock"
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
	for _, n := range []int{3, 7} {
		scenes[fmt.Sprintf("%d-agents", n)] = func(m *model) { calm(m, n) }
	}
	for name, prepare := range scenes {
		for _, size := range [][2]int{{80, 24}, {40, 10}, {120, 40}, {200, 30}} {
			if _, of, _ := strings.Cut(name, "-"); size[0] == 200 && of != "agents" {
				continue
			}
			m := newModel()
			prepare(m)
			requireGolden(t, fmt.Sprintf("%s-%dx%d.txt", name, size[0], size[1]), golden(m, size[0], size[1]))
		}
	}
}

// calm is a flock of n that is watched for a minute; one path is slow for a while, and one agent has no path.
func calm(m *model, n int) {
	for s := 41; s <= 101; s++ {
		p := shot(time.Duration(s)*time.Second, "")
		v := monitor.View{From: "b", At: p.At, RTT: map[string]time.Duration{}, Loss: map[string]float64{}, Promises: map[string]monitor.Promise{}}
		for i := range n {
			a := up(string(rune('a'+i)), "b", 7)
			p.Agents = append(p.Agents, a)
			v.Members = append(v.Members, api.Member{Name: a.Name, ID: a.Status.ID, State: api.StateAlive, Voter: true})
			rtt := time.Duration(i+1) * 237 * time.Microsecond
			if i == 2 && s%60 < 10 {
				rtt *= 40
			}
			if i != 1 && (i != 3 || s < 80) {
				v.RTT[a.Status.ID], v.Loss[a.Status.ID] = rtt, 0
				v.Promises[a.Status.ID] = monitor.Promise{To: "b", Left: 463 * time.Millisecond}
			}
		}
		p.See(v)
		m.see(p)
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
		for width := 0; width < 210; width += 5 {
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
	require.Contains(t, narrow, "b       goose      412ms")
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
			require.Equal(t, api.Clean(l.text()), l.text())
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

func TestColumnsStandStill(t *testing.T) {
	heads := func(m *model) (at string) {
		for _, l := range m.view(100, 24) {
			if strings.HasPrefix(l.text(), "AGENT") {
				at = strings.TrimRight(l.text(), " ")
			}
		}
		return at
	}
	seen := func(after time.Duration, rtt time.Duration, agents ...Agent) Picture {
		p := shot(after, "", agents...)
		p.See(monitor.View{From: "b", At: p.At, Members: []api.Member{{Name: "b", ID: "id-b"}}, RTT: map[string]time.Duration{"id-b": rtt}})
		return p
	}
	m := &model{glyphs: &asciiGlyphs}
	m.see(seen(0, 300*time.Microsecond, up("a", "a", 6), up("b", "a", 6)))
	all := heads(m)
	require.Contains(t, all, "LEASE")
	for i, p := range []Picture{
		seen(time.Second, 1234*time.Microsecond, up("a", "", 6), up("b", "", 6)),
		seen(2*time.Second, time.Millisecond, gone("a", StateSilent, ""), up("b", "", 7)),
		seen(3*time.Second, 500*time.Millisecond, gone("a", StateSilent, ""), up("b", "b", 7)),
	} {
		m.see(p)
		require.Equal(t, all, heads(m), "%d", i)
	}

	// A note takes the place of columns, and does not give it back at once.
	m.see(seen(4*time.Second, 0, gone("a", StateEnded, "it ended by itself"), up("b", "b", 7)))
	less := heads(m)
	require.NotEqual(t, all, less)
	m.see(seen(5*time.Second, 0, up("a", "b", 7), up("b", "b", 7)))
	require.Equal(t, less, heads(m))
	m.see(seen(20*time.Second, 0, up("a", "b", 7), up("b", "b", 7)))
	require.Equal(t, all, heads(m))
	m.see(seen(21*time.Second, 0, up("b", "", 7)))
	require.NotEqual(t, all, heads(m), "another flock has other columns")
}

func TestWhatOneAgentSeesGrowsOld(t *testing.T) {
	promises := map[string]monitor.Promise{"id-b": {To: "a", Left: 5 * time.Second}}
	view := monitor.View{
		From: "a", At: noon, Members: []api.Member{{Name: "b", ID: "id-b", State: StateAlive}, {Name: "c", ID: "id-c", State: StateFailed}},
		RTT:      map[string]time.Duration{"id-b": time.Millisecond, "id-c": time.Millisecond},
		Loss:     map[string]float64{"id-b": 0, "id-c": 0},
		Promises: promises,
	}
	look := func(after time.Duration) (Picture, *Agent, *Agent) {
		p := shot(after, "", up("a", "a", 6), up("b", "a", 6), up("c", "", 6))
		p.See(view)
		return p, &p.Agents[1], &p.Agents[2]
	}
	p, b, c := look(time.Second)
	require.Equal(t, "a", p.From)
	require.Equal(t, 5*time.Second, b.Promise.Left, "as new as it can be")
	require.NotNil(t, b.RTT)
	require.Equal(t, StateFailed, c.Seen)
	require.Nil(t, c.RTT, "it was measured when there still was a path")
	require.Nil(t, c.Loss)

	view.Members = append(view.Members, api.Member{Name: "a", ID: "id-a", Role: api.RoleGoose})
	view.Members[0].Voter = true
	_, b, _ = look(time.Second)
	require.NotNil(t, b.RTT)
	view.Promises = map[string]monitor.Promise{"id-z": {To: "a", Left: time.Second}}
	_, b, _ = look(time.Second)
	require.Nil(t, b.RTT, "a voter that promises its goose nothing has not been heard for a lease")
	view.Members[0].Voter = false
	_, b, _ = look(time.Second)
	require.NotNil(t, b.RTT, "an observer promises nothing anyhow")

	leaderless := shot(time.Second, "", up("a", "", 6), up("b", "", 6))
	leaderless.See(view)
	require.Nil(t, leaderless.Agents[1].RTT, "nothing measures it now")
	view.Promises = promises

	_, b, _ = look(3 * time.Second)
	require.Equal(t, 2*time.Second, b.Promise.Left, "it runs out")
	p, b, c = look(8 * time.Second)
	require.Empty(t, p.From)
	require.Nil(t, b.Promise)
	require.Nil(t, b.RTT)
	require.Empty(t, c.Seen)
}

// text is the line without its styles.
func (l *line) text() string {
	var b strings.Builder
	for _, s := range l.spans {
		b.WriteString(s.text)
	}
	return b.String()
}
