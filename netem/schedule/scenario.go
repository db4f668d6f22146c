package schedule

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/store"
)

//go:embed scenarios/*.txt
var scenarioFiles embed.FS

// Scenario is a schedule written by hand, with a name and with limits that the run
// must keep.
type Scenario struct {
	Name     string
	About    string // from its first comment lines
	Settings Settings
	// MaxGap bounds each time without a goose after the first one; -1: no bound.
	MaxGap time.Duration
	// MaxGooseless bounds their sum, as a share of the time; -1: no bound.
	MaxGooseless float64
	// Elections bounds the number of elections won; -1: no bound.
	Elections int
}

// Scenarios returns all that are built in, sorted by name.
func Scenarios() []Scenario {
	var all []Scenario
	names, err := fs.Glob(scenarioFiles, "scenarios/*.txt")
	if err != nil {
		panic(err)
	}
	for _, file := range names {
		text, err := scenarioFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		s, err := ParseScenario(strings.TrimSuffix(path.Base(file), ".txt"), string(text))
		if err != nil {
			panic(fmt.Sprintf("schedule: built-in scenario: %v", err))
		}
		all = append(all, s)
	}
	return all
}

// ScenarioNamed returns a scenario that is built in.
func ScenarioNamed(name string) (Scenario, bool) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return all[i], true
}

// ParseScenario reads a scenario file: comments, a header of "WORD VALUE"
// lines, and lines "at T ...".
func ParseScenario(name, text string) (Scenario, error) {
	s := Scenario{Name: name, MaxGap: -1, MaxGooseless: -1, Elections: -1, Settings: Settings{
		Agents: 5, Voters: 5, Together: -1, Timing: Timing{50 * time.Millisecond, 500 * time.Millisecond},
		Latency: 200 * time.Microsecond, For: time.Minute,
		Timings: map[string]Timing{}, Auto: map[string]bool{}, Priorities: map[string]uint8{}, Observers: map[string]bool{}, Absent: map[string]bool{}, Alone: map[string]bool{},
		Elections: map[string][]string{}, Preempts: map[string]time.Duration{},
	}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		var err error
		switch {
		case line == "":
		case strings.HasPrefix(line, "#"):
			if len(s.Settings.Ops) == 0 {
				s.About = strings.TrimSpace(s.About + " " + strings.TrimSpace(line[1:]))
			}
		case strings.HasPrefix(line, "at "):
			var o Op
			o, err = Parse(line)
			if verb, ok := Named(o.Verb); ok && verb.Real {
				err = fmt.Errorf("%q: only a soak of real processes can do it", line)
			}
			s.Settings.Ops = append(s.Settings.Ops, o)
		default:
			word, value, _ := strings.Cut(line, " ")
			err = s.set(word, strings.TrimSpace(value))
		}
		if err != nil {
			return s, fmt.Errorf("scenario %s, line %d: %w", name, n, err)
		}
	}
	if s.Settings.Together < 0 {
		s.Settings.Together = s.Settings.Agents
	}
	return s, nil
}

const headerWords = "agents voters together expect heartbeat lease latency for holders steady keyless wills seed timing auto priority preempt election observer absent alone gap gooseless elections"

// set takes one line of the header.
func (s *Scenario) set(word, value string) (err error) {
	set := &s.Settings
	number := map[string]*int{
		"agents": &set.Agents, "voters": &set.Voters, "together": &set.Together, "expect": &set.Expect,
		"holders": &set.Holders, "elections": &s.Elections,
	}[word]
	duration := map[string]*time.Duration{
		"heartbeat": &set.Timing.Heartbeat, "lease": &set.Timing.Lease, "latency": &set.Latency, "for": &set.For, "gap": &s.MaxGap,
	}[word]
	mark := map[string]map[string]bool{"auto": set.Auto, "observer": set.Observers, "alone": set.Alone, "absent": set.Absent}[word]
	switch {
	case number != nil:
		*number, err = strconv.Atoi(value)
		if word == "expect" {
			set.Together = 0
		}
		if err == nil && (set.Agents < 1 || set.Agents > MaxAgents) {
			err = fmt.Errorf("want 1 to %d", MaxAgents)
		}
	case duration != nil:
		*duration, err = time.ParseDuration(value)
	case mark != nil:
		mark[value] = true
	case word == "seed":
		set.Seed, err = strconv.ParseUint(value, 10, 64)
	case word == "election": // NAME, or NAME a,b: who contests it
		name, by, _ := strings.Cut(value, " ")
		if !store.ValidName(name) {
			return fmt.Errorf("election %q: that is no name", name)
		}
		set.Elections[name] = strings.FieldsFunc(by, func(r rune) bool { return r == ',' })
	case word == "preempt": // a 5s
		name, after, _ := strings.Cut(value, " ")
		set.Preempts[name], err = time.ParseDuration(after)
	case word == "steady":
		set.Steady = true
	case word == "keyless":
		set.Keyless = true
	case word == "wills":
		set.Wills = true
	case word == "timing": // a 25ms 250ms
		f := strings.Fields(value)
		if len(f) != 3 {
			return fmt.Errorf("timing %q: want NAME HEARTBEAT LEASE", value)
		}
		var t Timing
		if t.Heartbeat, err = time.ParseDuration(f[1]); err == nil {
			t.Lease, err = time.ParseDuration(f[2])
		}
		set.Timings[f[0]] = t
	case word == "priority": // a 0
		name, n, _ := strings.Cut(value, " ")
		var p uint64
		p, err = strconv.ParseUint(n, 10, 8)
		set.Priorities[name] = uint8(p)
	case word == "gooseless": // 1%
		var percent float64
		number, ok := strings.CutSuffix(value, "%")
		if percent, err = strconv.ParseFloat(number, 64); err != nil || !ok {
			return fmt.Errorf("gooseless %q: want a percentage", value)
		}
		s.MaxGooseless = percent / 100
	default:
		return fmt.Errorf("unknown word %q: want one of %s, or \"at T ...\"", word, headerWords)
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", word, value, err)
	}
	return nil
}

// MaxAgents bounds the agents of a run.
const MaxAgents = 500

// header prints the settings as a scenario's header.
func (s *Settings) header() []string {
	lines := []string{
		fmt.Sprintf("agents %d", s.Agents), fmt.Sprintf("voters %d", s.Voters), fmt.Sprintf("heartbeat %v", s.Timing.Heartbeat),
		fmt.Sprintf("lease %v", s.Timing.Lease), fmt.Sprintf("latency %v", s.Latency), fmt.Sprintf("for %v", s.For),
		fmt.Sprintf("holders %d", s.Holders),
	}
	if s.Expect > 0 {
		lines = append(lines, fmt.Sprintf("expect %d", s.Expect))
	} else {
		lines = append(lines, fmt.Sprintf("together %d", s.Together))
	}
	if s.Steady {
		lines = append(lines, "steady")
	}
	if s.Keyless {
		lines = append(lines, "keyless")
	}
	if s.Wills {
		lines = append(lines, "wills")
	}
	return slices.Concat(lines,
		ofEach("timing", s.Timings, func(t Timing) string { return fmt.Sprintf("%v %v", t.Heartbeat, t.Lease) }),
		ofEach("auto", s.Auto, marked),
		ofEach("priority", s.Priorities, func(p uint8) string { return strconv.Itoa(int(p)) }),
		ofEach("preempt", s.Preempts, time.Duration.String),
		ofEach("election", s.Elections, func(by []string) string { return strings.Join(by, ",") }),
		ofEach("observer", s.Observers, marked), ofEach("absent", s.Absent, marked), ofEach("alone", s.Alone, marked))
}

// ofEach returns a line for each name of a map, sorted.
func ofEach[V any](word string, of map[string]V, value func(V) string) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		lines = append(lines, strings.TrimSpace(word+" "+name+" "+value(of[name])))
	}
	return lines
}

func marked(bool) string { return "" }
