package top

import (
	"flag"
	"os"
	"testing"
	"time"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/monitor"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata; a person reads the diff")

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m))
}

// noon is when the tests' pictures are taken.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// up is an agent that follows goose.
func up(name, goose string, term uint64) Agent {
	a := Agent{Name: name, State: StateUp, Local: true, Age: 72 * time.Second}
	a.Status = api.Status{
		Name: name, ID: "id-" + name, Addr: "127.0.0.1:1000" + string(name[0]-'a'+'0'), Role: api.RoleDuck, Voter: true, Priority: 100,
		FlockID: "f", Term: term, Token: term, Heartbeat: 50, LeaseMS: 500,
		Config: api.Config{Version: 1, Voters: make([]api.Voter, 3)},
	}
	switch goose {
	case "":
		a.Status.Token = 0
	case name:
		a.Status.Role, a.Left = api.RoleGoose, 412*time.Millisecond
		fallthrough
	default:
		a.Status.Goose = &api.Goose{Name: goose, Term: term}
	}
	return a
}

func gone(name, state, note string) Agent {
	return Agent{Name: name, State: state, Local: true, Note: note, Age: 3 * time.Second, Log: "/f/" + name + ".log"}
}

// remote is an agent that is known by gossip alone.
func remote(name, state string) Agent {
	return Agent{Name: name, State: state, Member: &api.Member{Name: name, ID: "id-" + name, Addr: "10.0.0.9:3825", Voter: true, Priority: 100}}
}

// shot is a picture so long after noon.
func shot(after time.Duration, faults string, agents ...Agent) Picture {
	return Picture{At: noon.Add(after), Title: "a flock of 5 in /f", Faults: faults, Agents: agents}
}

// busy is a picture with some of everything.
func busy(after time.Duration) Picture {
	observer := up("d", "b", 7)
	observer.Status.Voter = false
	observer.PID = 4711
	p := shot(after, "partition a/b,c", up("a", "", 6), up("b", "b", 7), gone("c", StateKilled, ""), observer,
		gone("e", StateEnded, "agent e ended by itself: its last line"))
	p.See(monitor.View{
		From: "b", At: p.At.Add(-time.Second),
		Members: []api.Member{{Name: "a", ID: "id-a"}, {Name: "d", ID: "id-d", Tags: map[string]string{"rack": "seven"}}},
		RTT:     map[string]time.Duration{"id-a": 12345 * time.Microsecond, "id-d": 391 * time.Microsecond},
		Loss:    map[string]float64{"id-a": 0.25, "id-d": 0},
		Promises: map[string]monitor.Promise{
			"id-a": {Waits: 1500 * time.Millisecond}, "id-d": {To: "b", Left: 463 * time.Millisecond},
		},
	})
	return p
}

// newModel has seen a goose come, go, and another come.
func newModel() *model {
	m := &model{glyphs: &unicodeGlyphs, ends: "quit"}
	m.see(shot(0, "", up("a", "", 0), gone("b", StateStarting, "")))
	m.see(shot(500*time.Millisecond, "", up("a", "a", 6), up("b", "a", 6)))
	m.see(shot(20*time.Second, "", up("a", "", 6), up("b", "", 6)))
	m.see(shot(20480*time.Millisecond, "", up("a", "", 6), up("b", "b", 7)))
	m.see(busy(40 * time.Second))
	return m
}

func press(m *model, keys ...string) (last act) {
	for _, k := range keys {
		last = m.key(k)
	}
	return last
}
