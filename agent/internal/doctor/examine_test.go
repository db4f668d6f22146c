package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

const allProbes = 1<<24 - 1

// healthy returns a flock of n voters a, b, ... in good health, the first one the goose.
func healthy(n int) Flock {
	var p Flock
	var c Config
	for i := range n {
		id := string(rune('a'+i)) + "0000000"
		c.Voters = append(c.Voters, Voter{ID: id, Name: id[:1], Priority: 100})
		p.Agents = append(p.Agents, Agent{ID: id, Name: id[:1], Addr: "10.0.0.1:3825", State: api.StateAlive})
	}
	c.Term, c.Version = 7, 3
	for i := range p.Agents {
		a := &p.Agents[i]
		r := &Report{
			Version: "1", Role: api.RoleDuck, Goose: p.Agents[0].ID, Term: 7, Config: c, Heartbeat: 50 * time.Millisecond, Lease: 500 * time.Millisecond,
			Voters: 5, Keys: []string{"9c0a41f2"}, Bind: "0.0.0.0:3825", Host: a.Name + ".example", Boot: "boot-" + a.Name, Files: 1024,
			Streams: map[string]string{},
		}
		for _, b := range p.Agents {
			if b.ID != a.ID {
				r.Paths = append(r.Paths, Path{To: b.ID, Sent: allProbes, Heard: allProbes, Answered: allProbes, Large: 1 << 4, RTT: time.Millisecond,
					Clock: &Clock{Unsure: 0.001, Over: time.Second}})
				r.Heard = append(r.Heard, Heard{From: b.ID, Probes: allProbes})
				r.Streams[b.ID] = api.StreamOK
			}
		}
		a.Report = r
	}
	p.Agents[0].Report.Role = api.RoleGoose
	p.Self, p.Measured = p.Agents[0].ID, 2*time.Second
	return p
}

func (p *Flock) agent(name string) *Agent {
	for i := range p.Agents {
		if p.Agents[i].Name == name {
			return &p.Agents[i]
		}
	}
	panic(name)
}

// lose makes so many of the probes from one to another vanish, and the answers with them.
func (p *Flock) lose(from, to string, left uint64) {
	a, b := p.agent(from), p.agent(to)
	for i := range a.Report.Paths {
		if path := &a.Report.Paths[i]; path.To == b.ID {
			path.Heard &= left
			path.Answered &= left
		}
	}
	if b.Report == nil {
		return
	}
	for i := range b.Report.Heard {
		if h := &b.Report.Heard[i]; h.From == a.ID {
			h.Probes &= left
		}
	}
	for i := range b.Report.Paths { // b's questions arrive, its answers from a do not
		if path := &b.Report.Paths[i]; path.To == a.ID {
			path.Answered &= left
		}
	}
}

func (p *Flock) kill(names ...string) {
	for _, name := range names {
		a := p.agent(name)
		a.State, a.Report = api.StateFailed, nil
	}
}

func (p *Flock) silence(name string) {
	a := p.agent(name)
	a.Report, a.Error = nil, "it does not answer"
}

func TestTheHealthyAreHealthy(t *testing.T) {
	for _, n := range []int{3, 5, 7} {
		d := Examine(healthy(n))
		require.Empty(t, d.Findings)
		require.Equal(t, api.VerdictHealthy, d.Verdict)
		require.Equal(t, "a is the goose, and one can be elected now, and after the death of any one voter", d.Summary)
		require.Len(t, d.Deaths, n)
		require.Len(t, d.Paths, n*(n-1))
		require.Len(t, d.Clocks, n*(n-1)/2)
	}
}

// sicknesses are each given to a healthy flock of five; the finding and the verdict follow.
var sicknesses = map[string]struct {
	give    func(p *Flock)
	verdict string
	finding string
	elect   string
}{
	"a dead voter": {func(p *Flock) { p.kill("e") }, api.VerdictTrouble, "voter e at 10.0.0.1:3825 does not answer; gossip counts it as failed", api.Yes},
	"two dead":     {func(p *Flock) { p.kill("d", "e") }, api.VerdictTrouble, "nobody could be elected after the death of a, b or c", api.Yes},
	"three dead":   {func(p *Flock) { p.kill("c", "d", "e") }, api.VerdictTrouble, "no goose can be elected: 2 of 5 voters are alive and 3 are needed; missing: c d e", api.No},
	"one silent":   {func(p *Flock) { p.silence("e") }, api.VerdictCannotTell, "e at 10.0.0.1:3825 is alive, but does not report: it does not answer", api.Yes},
	"three silent": {func(p *Flock) {
		for _, name := range []string{"c", "d", "e"} {
			p.silence(name)
		}
	}, api.VerdictCannotTell, "whether a goose could be elected depends on agents that have not answered", api.Unknown},
	"nobody can connect to it": {func(p *Flock) { p.silence("e"); p.agent("e").Unreached = true }, api.VerdictTrouble, "e at 10.0.0.1:3825 is alive, but does not answer questions of any agent", api.Yes},
	"dead, and gossip does not know yet": {func(p *Flock) {
		p.silence("e")
		p.agent("e").Unreached = true
		for _, from := range []string{"a", "b", "c", "d"} {
			p.lose(from, "e", 0)
		}
	}, api.VerdictTrouble, "voter e at 10.0.0.1:3825 does not answer; gossip still counts it as alive: it does not answer", api.Yes},
	"asked through another": {func(p *Flock) { p.agent("e").Via = "b" }, api.VerdictTrouble, "e could not be asked directly, only through b", api.Yes},
	"only witnesses": {func(p *Flock) {
		for i := range p.Agents {
			for j := range p.Agents[i].Report.Config.Voters {
				p.Agents[i].Report.Config.Voters[j].Priority = 0
			}
		}
	}, api.VerdictTrouble, "no goose can be elected: all live voters have priority 0: a b c d e", api.No},
	"one heir": {func(p *Flock) {
		for i := range p.Agents {
			for j := range p.Agents[i].Report.Config.Voters {
				p.Agents[i].Report.Config.Voters[j].Priority = uint8(1 - min(j, 1))
			}
		}
	}, api.VerdictTrouble, "only one voter has a priority above 0", api.Yes},
	"UDP blocked": {func(p *Flock) { p.lose("a", "b", 0) }, api.VerdictTrouble, "nothing passes by UDP from a to b, while TCP does", api.Yes},
	"one-way cut": {func(p *Flock) {
		p.lose("a", "b", 0)
		p.agent("a").Report.Streams["b0000000"] = api.StreamFailed
	}, api.VerdictTrouble, "nothing passes from a to b, while the way back is open", api.Yes},
	"no one-way paths out of a star": {func(p *Flock) {
		for _, from := range "abcde" {
			for _, to := range "abcde" {
				if from != to && from != 'a' && to != 'a' {
					p.lose(string(from), string(to), 0)
				}
			}
		}
	}, api.VerdictTrouble, "nobody could be elected after the death of a", api.Yes},
	"all paths one-way": {func(p *Flock) {
		for _, from := range "abcde" {
			for _, to := range "abcde" {
				if from < to {
					p.lose(string(from), string(to), 0)
				}
			}
		}
	}, api.VerdictTrouble, "no live voter with a priority above 0 talks both ways with a majority (3 of 5)", api.No},
	"loss":      {func(p *Flock) { p.lose("a", "b", allProbes>>6) }, api.VerdictTrouble, "25% of the datagrams from a to b are lost", api.Yes},
	"some loss": {func(p *Flock) { p.lose("a", "b", allProbes<<1&allProbes) }, api.VerdictHealthy, "4% of the datagrams from a to b are lost", api.Yes},
	"MTU":       {func(p *Flock) { p.lose("a", "b", allProbes&^(1<<4)) }, api.VerdictTrouble, "datagrams of 1150 bytes from a to b are lost, small ones pass", api.Yes},
	"small MTU": {func(p *Flock) { p.agent("a").Report.Streams["b0000000"] = api.StreamSmall }, api.VerdictHealthy, "packets of full size from a to b are lost, and nothing tells the sender", api.Yes},
	"no TCP":    {func(p *Flock) { p.agent("a").Report.Streams["b0000000"] = api.StreamFailed }, api.VerdictTrouble, "UDP passes from a to b, but no TCP connection can be made", api.Yes},
	"far away":  {func(p *Flock) { p.agent("a").Report.Paths[0].RTT = 200 * time.Millisecond }, api.VerdictTrouble, "a round trip from a to b takes 200ms, a lease is 500ms", api.Yes},
	"fast clock": {func(p *Flock) {
		p.agent("a").Report.Paths[0].Clock = &Clock{Faster: -0.05, Unsure: 0.0001}
	}, api.VerdictTrouble, "the clock of b runs 5.00% slower than that of a (measured to 0.01%)", api.Yes},
	"unsure clock": {func(p *Flock) {
		p.agent("a").Report.Paths[0].Clock = &Clock{Faster: 0.03, Unsure: 0.04}
		p.agent("b").Report.Paths[0].Clock = nil
	}, api.VerdictHealthy, "clock rates were measured to 4.0% only", api.Yes},
	"timings":     {func(p *Flock) { p.agent("d").Report.Lease *= 3 }, api.VerdictTrouble, "agents have different timings (heartbeat / lease): 50ms / 500ms at a b c e; 50ms / 1.5s at d", api.Yes},
	"versions":    {func(p *Flock) { p.agent("d").Report.Version = "2" }, api.VerdictHealthy, "agents are of different versions: 1 at a b c e; 2 at d", api.Yes},
	"voters":      {func(p *Flock) { p.agent("d").Report.Voters = 3 }, api.VerdictHealthy, "agents want different numbers of voters (5, 3)", api.Yes},
	"two geese":   {func(p *Flock) { p.agent("d").Report.Goose = "d0000000" }, api.VerdictTrouble, "agents name different geese: a at a b c e; d at d", api.Yes},
	"no key":      {func(p *Flock) { p.agent("d").Report.Keys = nil }, api.VerdictTrouble, "d listens beyond this machine without a key", api.Yes},
	"other key":   {func(p *Flock) { p.agent("d").Report.Keys = []string{"3f000000", "9c0a41f2"} }, api.VerdictTrouble, "d seals with key 3f000000, which a, b, c and e cannot open", api.Yes},
	"loopback":    {func(p *Flock) { p.agent("d").Report.Loopback = true }, api.VerdictTrouble, "d listens on loopback: agents on other machines cannot reach it", api.Yes},
	"one machine": {func(p *Flock) { p.agent("b").Report.Boot = "boot-a"; p.agent("c").Report.Boot = "boot-a" }, api.VerdictTrouble, "voters a, b and c run on one machine (a.example)", api.Yes},
	"few files":   {func(p *Flock) { p.agent("d").Report.Files = 256 }, api.VerdictTrouble, "d may open 256 files only", api.Yes},
	"netem":       {func(p *Flock) { p.agent("d").Report.Netem = "*: loss 1%" }, api.VerdictTrouble, "fault rules are in force at d: *: loss 1%", api.Yes},
	"just begun":  {func(p *Flock) { p.agent("d").Report.Waits = 400 * time.Millisecond }, api.VerdictHealthy, "d has just started: for 400ms more it votes for nobody", api.Yes},
	"no flock": {func(p *Flock) {
		for i := range p.Agents {
			p.Agents[i].Report.Config, p.Agents[i].Report.Goose = Config{}, ""
		}
	}, api.VerdictCannotTell, "no flock is founded yet", api.Unknown},
	"no goose": {func(p *Flock) {
		for i := range p.Agents {
			p.Agents[i].Report.Goose = ""
		}
	}, api.VerdictTrouble, "no agent knows a goose", api.Yes},
}

func TestFaultRulesAreNamedBeforeWhatTheyCause(t *testing.T) {
	p := healthy(3)
	p.silence("b")
	p.silence("c")
	r := p.agent("a").Report
	r.Netem, r.EndsNetem = "b,c: cut", "ddgoose flock heal --dir /tmp/tour"
	first := Examine(p).Findings[0]
	require.Equal(t, "fault rules are in force at a: b,c: cut", first.Text)
	require.Equal(t, "ddgoose flock heal --dir /tmp/tour", first.Remedy)
}

func TestEachSicknessIsFoundAndNothingElse(t *testing.T) {
	for name, s := range sicknesses {
		t.Run(name, func(t *testing.T) {
			p := healthy(5)
			s.give(&p)
			d := Examine(p)
			var all []string
			for _, f := range d.Findings {
				all = append(all, f.Kind+" "+f.Text)
				require.NotContains(t, f.Text+f.Remedy, "{")
				require.False(t, f.Kind == api.FindingTrouble && f.Remedy == "", "%s has no remedy", f.Text)
			}
			require.Contains(t, strings.Join(all, "\n"), s.finding)
			require.Equal(t, s.verdict, d.Verdict, "%v", all)
			require.Equal(t, s.elect, d.CanElect)
			require.LessOrEqual(t, len(all), 6, "%v", all)
		})
	}
}

func TestSmallFlocksAreToldWhatTheyLack(t *testing.T) {
	one := healthy(1)
	d := Examine(one)
	require.Equal(t, api.VerdictTrouble, d.Verdict)
	require.Contains(t, d.Findings[0].Remedy, "a flock of 1 has one voter and no automatic failover")

	two := healthy(2)
	for i := range two.Agents {
		two.Agents[i].Report.Config.Voters = two.Agents[i].Report.Config.Voters[:1]
	}
	d = Examine(two)
	require.Equal(t, api.VerdictTrouble, d.Verdict)
	require.Equal(t, "nobody could be elected after the death of a", d.Findings[0].Text)
	require.Contains(t, d.Findings[0].Remedy, "a flock of 2 has one voter and no automatic failover")

	four := healthy(4)
	d = Examine(four)
	require.Equal(t, api.VerdictHealthy, d.Verdict)
	require.Equal(t, "4 voters survive the death of 1, as 3 would", d.Findings[0].Text)
}

func TestAFlockOnLoopbackIsForTryingOut(t *testing.T) {
	p := healthy(3)
	for keys, how := range map[string]string{"": "without a key: any user of this machine can vote", "9c0a41f2": "sealed with key 9c0a41f2"} {
		for i := range p.Agents {
			r := p.Agents[i].Report
			r.Loopback, r.Boot, r.Keys = true, "one", strings.Fields(keys)
		}
		d := Examine(p)
		require.Equal(t, api.VerdictHealthy, d.Verdict, "%v", d.Findings)
		require.Equal(t, "all agents listen on loopback, for trying things out on one machine, "+how, d.Findings[0].Text)
	}
}

func TestAPathIsJudgedByWhoeverTells(t *testing.T) {
	p := healthy(3)
	p.silence("b")
	p.lose("a", "b", 0xFF) // a knows from answers alone
	d := Examine(p)
	for _, path := range d.Paths {
		switch {
		case path.From == "a" && path.To == "b":
			require.InDelta(t, 16.0/24, *path.Loss, 0.01)
		case path.From == "b":
			require.Nil(t, path.Loss)
		default:
			require.Zero(t, *path.Loss)
		}
	}
}

// Whatever agents tell, hostile ones included, is judged without a panic.
func TestWhateverIsToldIsJudged(t *testing.T) {
	p := healthy(3)
	p.agent("b").Report = &Report{}
	r := p.agent("c").Report
	r.Config.Voters = append(r.Config.Voters, Voter{ID: "", Priority: 255}, Voter{ID: "x"})
	r.Config.Term = 99
	r.Goose = "nobody"
	r.Paths = append(r.Paths, Path{To: r.Paths[0].To, Sent: 1, Clock: &Clock{Faster: 1e300}}, Path{To: ""})
	r.Streams = map[string]string{"": "{from}", p.Agents[0].ID: "%s%n"}
	r.Netem = "{to} %d"
	require.Equal(t, api.VerdictTrouble, Examine(p).Verdict)
	require.Equal(t, api.VerdictCannotTell, Examine(Flock{}).Verdict)
}
