package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
)

// examination is one run of Examine.
type examination struct {
	*Flock
	byID   map[string]*Agent
	alive  map[string]bool
	all    map[pair]*direction
	config Config
	found  api.Doctor
}

// Examine judges a flock.
func Examine(p Flock) api.Doctor {
	e := &examination{Flock: &p, byID: map[string]*Agent{}, alive: map[string]bool{}, all: links(&p)}
	for i := range p.Agents {
		a := &p.Agents[i]
		e.byID[a.ID] = a
		e.alive[a.ID] = a.State == api.StateAlive
		if r := a.Report; r != nil {
			if c := r.Config; cmp.Or(cmp.Compare(c.Term, e.config.Term), cmp.Compare(c.Version, e.config.Version)) > 0 {
				e.config = c
			}
		}
	}
	e.found.Measured = float64(p.Measured) / 1e6
	e.found.Config = e.config
	e.found.Config.Voters = slices.Clone(e.config.Voters)
	for i, v := range e.config.Voters {
		e.found.Config.Voters[i].Name = e.name(v.ID)
	}
	e.faults()
	e.agents()
	e.election()
	e.work()
	e.network()
	e.clocks()
	e.configuration()
	e.judge()
	return e.found
}

func (e *examination) note(kind, text, remedy string) {
	e.found.Findings = append(e.found.Findings, api.Finding{Kind: kind, Text: text, Remedy: remedy})
}

func (e *examination) trouble(text, remedy string) { e.note(api.FindingTrouble, text, remedy) }

// name returns an agent's name, or the start of its id.
func (e *examination) name(id string) string {
	if a := e.byID[id]; a != nil && a.Name != "" {
		return a.Name
	}
	for _, v := range e.config.Voters {
		if v.ID == id && v.Name != "" {
			return v.Name
		}
	}
	return id[:min(8, len(id))]
}

func (e *examination) voter(id string) bool {
	return slices.ContainsFunc(e.config.Voters, func(v Voter) bool { return v.ID == id })
}

// agents lists all agents, with a finding for each that did not answer.
func (e *examination) agents() {
	for i := range e.Agents {
		a := &e.Agents[i]
		d := api.DoctorAgent{
			Name: a.Name, ID: a.ID, Addr: a.Addr, State: a.State, Voter: e.voter(a.ID), Answered: a.Report != nil, Via: a.Via, Error: a.Error,
		}
		if r := a.Report; r != nil {
			d.Role, d.Host, d.Version = r.Role, r.Host, r.Version
			d.Heartbeat, d.LeaseMS = float64(r.Heartbeat)/1e6, float64(r.Lease)/1e6
			if r.Role == api.RoleGoose {
				e.found.Goose = a.Name
			}
		}
		e.found.Agents = append(e.found.Agents, d)
		voter := ""
		if d.Voter {
			voter = "voter "
		}
		switch {
		case a.State == api.StateAlive && a.Report == nil && a.Unreached && e.isMute(a.ID):
			e.trouble(fmt.Sprintf("%s%s at %s does not answer; gossip still counts it as alive: %s", voter, a.Name, a.Addr, a.Error), "start it again, or repair the network to it")
		case a.State == api.StateAlive && a.Report == nil && a.Unreached:
			e.trouble(fmt.Sprintf("%s at %s is alive, but does not answer questions of any agent: %s", a.Name, a.Addr, a.Error), "open TCP to its port, besides UDP")
		case a.State == api.StateAlive && a.Report == nil:
			e.note(api.FindingUnknown, fmt.Sprintf("%s at %s is alive, but does not report: %s", a.Name, a.Addr, a.Error), "look at its log: it may hang, or run an older version")
		case a.State == api.StateAlive && a.Via != "":
			e.trouble(fmt.Sprintf("%s could not be asked directly, only through %s", a.Name, a.Via), "look at the network between it and "+e.name(e.Self))
		case a.State != api.StateAlive && d.Voter:
			e.trouble(fmt.Sprintf("voter %s at %s does not answer; gossip counts it as %s", a.Name, a.Addr, a.State), "start it again; if it is gone for good: ddgoose force-leave "+a.Name+" on the goose")
		}
	}
}

// isMute reports whether no agent had an answer to any of its probes of this one.
func (e *examination) isMute(id string) bool {
	asked := false
	for _, a := range e.Agents {
		if a.Report == nil {
			continue
		}
		for _, path := range a.Report.Paths {
			if path.To == id && path.Answered != 0 {
				return false
			}
			asked = asked || path.To == id && path.Sent != 0
		}
	}
	return asked
}

// election finds out whether a goose can be elected now, and after each voter's death.
func (e *examination) election() {
	if len(e.config.Voters) == 0 {
		e.found.CanElect = api.Unknown
		e.note(api.FindingUnknown, "no flock is founded yet, as far as the agents report", "ddgoose status tells what they wait for")
		return
	}
	can, _ := canElect(&e.config, e.alive, e.all)
	e.found.CanElect = can.String()
	switch can {
	case no:
		e.trouble(e.whyNobody(), "start the failed agents again, and repair the paths below")
	case unknown:
		e.note(api.FindingUnknown, "whether a goose could be elected depends on agents that have not answered", "check those agents first")
	}
	var fatal, unsure []string
	for _, v := range e.byName() {
		left := map[string]bool{}
		for id, alive := range e.alive {
			left[id] = alive && id != v.ID
		}
		can, who := canElect(&e.config, left, e.all)
		d := api.Death{Name: e.name(v.ID), ID: v.ID, CanElect: can.String()}
		for _, s := range who {
			d.Successors = append(d.Successors, e.name(s.ID))
		}
		e.found.Deaths = append(e.found.Deaths, d)
		switch {
		case !e.alive[v.ID]:
		case can == no:
			fatal = append(fatal, d.Name)
		case can == unknown:
			unsure = append(unsure, d.Name)
		}
	}
	if can != no && len(fatal) > 0 {
		e.trouble("nobody could be elected after the death of "+list(fatal, "or"), e.moreVoters())
	}
	if can == yes && len(unsure) > 0 {
		e.note(api.FindingUnknown, "whether a goose could be elected after the death of "+list(unsure, "or")+" depends on agents that have not answered", "check those agents first")
	}
}

// work finds failing checks, and a goose without work while other agents have work.
func (e *examination) work() {
	var idle, working string
	for i := range e.Agents {
		a := &e.Agents[i]
		r := a.Report
		if r == nil {
			continue
		}
		if r.Well != nil && !*r.Well {
			e.trouble("the check of "+a.Name+" fails: it does not lead until the check passes", "repair what its check looks at (--check)")
		}
		switch {
		case r.Role == api.RoleGoose && !r.Work:
			idle = a.Name
		case r.Role != api.RoleGoose && r.Work && working == "":
			working = a.Name
		}
	}
	if idle != "" && working != "" {
		e.trouble(fmt.Sprintf("%s is the goose and has no work, and %s has some", idle, working),
			"start work at "+idle+" (ddgoose run), or find out why "+working+" does not take over: it is not a voter, its check fails, or the flock is frozen")
	}
}

// byName returns the voters in the order of their names.
func (e *examination) byName() []Voter {
	return slices.SortedFunc(slices.Values(e.config.Voters), func(a, b Voter) int { return strings.Compare(e.name(a.ID), e.name(b.ID)) })
}

// whyNobody says what is still needed for a majority.
func (e *examination) whyNobody() string {
	var live, dead []string
	leads := false
	for _, v := range e.byName() {
		if e.alive[v.ID] {
			live = append(live, e.name(v.ID))
			leads = leads || v.Priority > 0
		} else {
			dead = append(dead, e.name(v.ID))
		}
	}
	quorum := len(e.config.Voters)/2 + 1
	switch {
	case len(live) < quorum:
		return fmt.Sprintf("no goose can be elected: %d of %d voters are alive and %d are needed; missing: %s", len(live), len(e.config.Voters), quorum, strings.Join(dead, " "))
	case !leads:
		return "no goose can be elected: all live voters have priority 0: " + strings.Join(live, " ")
	}
	return fmt.Sprintf("no goose can be elected: no live voter with a priority above 0 talks both ways with a majority (%d of %d)", quorum, len(e.config.Voters))
}

// moreVoters is the remedy when the loss of one voter ends the flock.
func (e *examination) moreVoters() string {
	live := 0
	for _, alive := range e.alive {
		if alive {
			live++
		}
	}
	n := len(e.config.Voters)
	switch {
	case live <= 2 && n == 1:
		return fmt.Sprintf("a flock of %d has one voter and no automatic failover: start agents until there are three, or a witness (--priority 0)", live)
	case n < 3:
		return "wait until three agents are voters, or start more"
	}
	return "start the failed voters again or replace them, mend the paths below, and see that two voters have a priority above 0"
}

// judge sets verdict and summary.
func (e *examination) judge() {
	order := []string{api.FindingTrouble, api.FindingUnknown, api.FindingNote}
	slices.SortStableFunc(e.found.Findings, func(a, b api.Finding) int {
		return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
	})
	var count [3]int
	for _, f := range e.found.Findings {
		count[slices.Index(order, f.Kind)]++
	}
	var is string
	switch e.found.CanElect {
	case api.Yes:
		is = "a goose can be elected now"
		if e.found.Goose != "" {
			is = e.found.Goose + " is the goose, and one can be elected now"
		}
	case api.No:
		is = "no goose can be elected now"
	default:
		is = "whether a goose can be elected now is not known"
	}
	switch {
	case count[0] > 0:
		e.found.Verdict = api.VerdictTrouble
		e.found.Summary = fmt.Sprintf("%s; %d %s to mend", is, count[0], plural(count[0], "thing", "things"))
	case count[1] > 0:
		e.found.Verdict = api.VerdictCannotTell
		e.found.Summary = fmt.Sprintf("%s; %d %s not be told", is, count[1], plural(count[1], "thing could", "things could"))
	default:
		e.found.Verdict = api.VerdictHealthy
		e.found.Summary = is + ", and after the death of any one voter"
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// list joins names with commas, and word before the last.
func list(names []string, word string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " " + word + " " + names[n-1]
	}
	return strings.Join(names, "")
}

func andList(names []string) string { return list(names, "and") }

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }
