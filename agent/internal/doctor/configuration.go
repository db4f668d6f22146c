package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"duckduckgoose/agent/api"
)

// fewFiles is the limit of open files below which doctor warns: streams, local
// clients and the disk together may use some hundreds.
const fewFiles = 512

// faults names the fault rules of agents. It comes first: they may be the cause of all else.
func (e *examination) faults() {
	for _, a := range e.Agents {
		if r := a.Report; r != nil && r.Netem != "" {
			e.trouble(fmt.Sprintf("fault rules are in force at %s: %s", a.Name, r.Netem), cmp.Or(r.EndsNetem, "ddgoose netem clear on it"))
		}
	}
}

// configuration finds settings of agents that do not fit together.
func (e *examination) configuration() {
	var told []*Agent
	for i := range e.Agents {
		if e.Agents[i].Report != nil {
			told = append(told, &e.Agents[i])
		}
	}
	e.size(told)
	e.differing(told)
	e.keys(told)
	e.machines(told)
	var keyless []string
	for _, a := range told {
		r := a.Report
		if r.Files > 0 && r.Files < fewFiles {
			e.trouble(fmt.Sprintf("%s may open %d files only", a.Name, r.Files), "raise it to 1024 or more: ulimit -n, or LimitNOFILE= of its service")
		}
		if r.Waits > 0 {
			e.note(api.FindingNote, fmt.Sprintf("%s has just started: for %s more it votes for nobody", a.Name, api.Span(r.Waits)), "")
		}
		if len(r.Keys) == 0 && !r.Loopback {
			keyless = append(keyless, a.Name)
		}
	}
	if len(keyless) > 0 {
		e.trouble(fmt.Sprintf("%s %s beyond this machine without a key: anybody on that network can vote", andList(keyless), plural(len(keyless), "listens", "listen")),
			"give all agents one --key-file (ddgoose keygen --out F) and restart them")
	}
}

// size warns of numbers of voters that survive fewer failures than people expect.
func (e *examination) size(told []*Agent) {
	n := len(e.config.Voters)
	if n > 0 && n%2 == 0 {
		e.note(api.FindingNote, fmt.Sprintf("%d voters survive the death of %d, as %d would", n, (n-1)/2, n-1), "an odd number costs one agent less; the goose gets there by itself when there are enough agents")
	}
	able := 0
	for _, v := range e.config.Voters {
		if v.Priority > 0 {
			able++
		}
	}
	if n > 1 && able == 1 {
		e.trouble("only one voter has a priority above 0: no other can take over from it", "give another voter a --priority of 1 or more")
	}
	var voters []string
	for _, a := range told {
		if n := strconv.Itoa(a.Report.Voters); !a.Report.Observer && !slices.Contains(voters, n) {
			voters = append(voters, n)
		}
	}
	if len(voters) > 1 {
		e.note(api.FindingNote, "agents want different numbers of voters ("+strings.Join(voters, ", ")+"): the goose's counts", "give all the same --voters")
	}
}

// differing finds timings and versions that are not the same everywhere.
func (e *examination) differing(told []*Agent) {
	timing := byValue(told, func(r *Report) string { return r.Heartbeat.String() + " / " + r.Lease.String() })
	if len(timing) > 1 {
		e.trouble("agents have different timings (heartbeat / lease): "+timing.String()+": how long failover takes depends on which agent was the goose", "start all with the same --profile, or --heartbeat and --lease")
	}
	if versions := byValue(told, func(r *Report) string { return r.Version }); len(versions) > 1 {
		e.note(api.FindingNote, "agents are of different versions: "+versions.String(), "upgrade them one at a time")
	}
	configs := byValue(told, func(r *Report) string { return fmt.Sprintf("%d.%d", r.Config.Term, r.Config.Version) })
	if len(configs) > 1 {
		e.note(api.FindingNote, "agents know different sets of voters (term.version): "+configs.String(), "it ends by itself when they can reach each other; if it lasts, check the paths")
	}
	geese := byValue(told, func(r *Report) string {
		if r.Goose == "" {
			return "none"
		}
		return e.name(r.Goose)
	})
	switch {
	case len(told) == 0:
	case len(geese) > 1:
		e.trouble("agents name different geese: "+geese.String(), "the goose may be changing: ask again; if it lasts, check the paths")
	case geese[0].value == "none" && len(e.config.Voters) > 0:
		e.trouble("no agent knows a goose", "see the warnings of ddgoose status on each")
	}
}

// keys finds agents that cannot open what others seal.
func (e *examination) keys(told []*Agent) {
	for _, a := range told {
		if len(a.Report.Keys) == 0 {
			continue
		}
		var without []string
		for _, b := range told {
			if !slices.Contains(b.Report.Keys, a.Report.Keys[0]) {
				without = append(without, b.Name)
			}
		}
		if len(without) > 0 {
			e.trouble(fmt.Sprintf("%s seals with key %s, which %s cannot open", a.Name, a.Report.Keys[0], andList(without)), "ddgoose keys list; ddgoose keys install gives all a key")
		}
	}
	if rings := byValue(told, func(r *Report) string { return strings.Join(r.Keys, " ") }); len(rings) > 1 {
		e.note(api.FindingNote, "agents hold different keys: "+rings.String(), "a rotation may be under way: ddgoose keys list")
	}
}

// machines finds voters that fail together, because they share a machine.
func (e *examination) machines(told []*Agent) {
	var local, reachable []string
	for _, a := range told {
		if a.Report.Loopback {
			local = append(local, a.Name)
		} else {
			reachable = append(reachable, a.Name)
		}
	}
	switch {
	case len(local) > 0 && len(reachable) > 0:
		e.trouble(andList(local)+" "+plural(len(local), "listens", "listen")+" on loopback: agents on other machines cannot reach "+plural(len(local), "it", "them"), "start with --bind 0.0.0.0 --key-file F")
	case len(local) > 0:
		how := "without a key: any user of this machine can vote"
		if held := told[0].Report.Keys; len(held) > 0 {
			how = "sealed with key " + held[0]
		}
		e.note(api.FindingNote, "all agents listen on loopback, for trying things out on one machine, "+how, "")
		return
	}
	for _, m := range byValue(told, func(r *Report) string { return cmp.Or(r.Boot, r.Host) }) {
		var voters []string
		for _, a := range m.agents {
			if e.voter(a.ID) {
				voters = append(voters, a.Name)
			}
		}
		if n := len(e.config.Voters); len(voters) > 1 && len(voters) > (n-1)/2 {
			e.trouble(fmt.Sprintf("voters %s run on one machine (%s): its death ends the flock", andList(voters), m.agents[0].Report.Host), "run them on different machines")
		}
	}
}

// sharing is a value, and the agents that report it.
type sharing struct {
	value  string
	agents []*Agent
}

type byValues []sharing

// byValue groups agents by the value that they report.
func byValue(told []*Agent, of func(*Report) string) (all byValues) {
	for _, a := range told {
		v := of(a.Report)
		i := slices.IndexFunc(all, func(s sharing) bool { return s.value == v })
		if i < 0 {
			i = len(all)
			all = append(all, sharing{value: v})
		}
		all[i].agents = append(all[i].agents, a)
	}
	return all
}

func (all byValues) String() string {
	var parts []string
	for _, s := range all {
		var names []string
		for _, a := range s.agents {
			names = append(names, a.Name)
		}
		parts = append(parts, cmp.Or(s.value, "none")+" at "+strings.Join(names, " "))
	}
	return strings.Join(parts, "; ")
}
