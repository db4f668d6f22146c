package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

const (
	// troubleLoss is the loss from which on a path is trouble; less is a note.
	troubleLoss = 0.1
	// troubleTrip is the part of a lease that a round trip may take without trouble.
	troubleTrip = 0.25
	// rho is how far a clock's rate may be from true time.
	rho = 0.01
)

// network lists all directions, with findings for those that have trouble.
func (e *examination) network() {
	for i := range e.Agents {
		a := &e.Agents[i]
		var troubles groups
		for j := range e.Agents {
			b := &e.Agents[j]
			d := e.all[pair{a.ID, b.ID}]
			if d == nil {
				continue
			}
			p := api.Path{From: a.Name, To: b.Name, Sent: d.sent, Loss: d.loss, LargeLoss: d.largeLoss, Stream: d.stream}
			if d.rtt > 0 {
				p.RTTMS = &d.rtt
			}
			e.found.Paths = append(e.found.Paths, p)
			e.path(a, b, d, &troubles)
		}
		for _, g := range troubles {
			e.note(g.kind, strings.NewReplacer("{from}", a.Name, "{to}", andList(g.names)).Replace(g.text), g.remedy)
		}
	}
	e.trips()
}

// group is a trouble that one agent has with several others.
type group struct {
	kind, text, remedy string
	names              []string
}

// groups joins equal troubles into one finding.
type groups []*group

func (gs *groups) add(kind, name, text, remedy string) {
	i := slices.IndexFunc(*gs, func(g *group) bool { return g.text == text })
	if i < 0 {
		i = len(*gs)
		*gs = append(*gs, &group{kind: kind, text: text, remedy: remedy})
	}
	(*gs)[i].names = append((*gs)[i].names, name)
}

// path judges one direction.
func (e *examination) path(a, b *Agent, d *direction, found *groups) {
	back := e.all[pair{b.ID, a.ID}]
	switch {
	case d.loss == nil:
		// An agent that did not answer has its finding in agents.
	case d.cut() && d.stream == api.StreamOK:
		found.add(api.FindingTrouble, b.Name, "nothing passes by UDP from {from} to {to}, while TCP does: elections go by UDP", "open UDP to the agent's port in the firewalls between them")
	case d.cut() && !back.cut() && back.loss != nil:
		found.add(api.FindingTrouble, b.Name, "nothing passes from {from} to {to}, while the way back is open: a one-way cut", "check the firewalls, routes and fault rules of both ends")
	case d.cut():
		found.add(api.FindingTrouble, b.Name, "nothing passes from {from} to {to}", "check the network between them, and fault rules (ddgoose netem show)")
	case d.largeLoss != nil && *d.largeLoss == 1 && smallLoss(d) <= troubleLoss: // with more loss the few large ones may be lost by chance
		found.add(api.FindingTrouble, b.Name, fmt.Sprintf("datagrams of %d bytes from {from} to {to} are lost, small ones pass", largeBytes), "repair the MTU of the path: a tunnel or VPN on it carries less than it says")
	case *d.loss > troubleLoss:
		found.add(api.FindingTrouble, b.Name, percent(*d.loss)+" of the datagrams from {from} to {to} are lost", "check the network between them, and fault rules (ddgoose netem show)")
	case *d.loss > 0:
		found.add(api.FindingNote, b.Name, percent(*d.loss)+" of the datagrams from {from} to {to} are lost", "")
	}
	if d.stream == api.StreamFailed && d.clean() && back.clean() { // else the loss above explains it
		found.add(api.FindingTrouble, b.Name, "UDP passes from {from} to {to}, but no TCP connection can be made: gossip needs both", "open TCP to the agent's port in the firewalls between them")
	}
	if d.stream == api.StreamSmall && d.clean() && (back.clean() || back.loss == nil) {
		found.add(api.FindingNote, b.Name, "packets of full size from {from} to {to} are lost, and nothing tells the sender: a smaller MTU on the path; agents keep to 1,260 bytes, the connections of other programs may hang", "set the MTU of both machines to what the path carries (ping -M do -s 1232 tries 1,260 bytes), or let ICMP \"fragmentation needed\" pass")
	}
}

// largeBytes is about the size of the largest probes.
const largeBytes = 1150

// smallLoss is the loss among the small probes.
func smallLoss(d *direction) float64 {
	small := d.sent - d.large
	if small == 0 {
		return 0
	}
	return (*d.loss*float64(d.sent) - *d.largeLoss*float64(d.large)) / float64(small)
}

// trips finds round trips too long for the shortest lease.
func (e *examination) trips() {
	lease := time.Duration(math.MaxInt64)
	for i := range e.Agents {
		if r := e.Agents[i].Report; r != nil && r.Lease > 0 {
			lease = min(lease, r.Lease)
		}
	}
	var worst float64
	var from, to string
	for _, p := range e.found.Paths {
		if p.RTTMS != nil && *p.RTTMS > worst {
			worst, from, to = *p.RTTMS, p.From, p.To
		}
	}
	if worst > troubleTrip*float64(lease)/1e6 {
		e.trouble(fmt.Sprintf("a round trip from %s to %s takes %s, a lease is %s", from, to, api.Span(time.Duration(worst*1e6)), api.Span(lease)),
			"start all agents with a longer --lease or --profile wan; or find out why these machines answer so slowly")
	}
}

// clocks compares the rates of all pairs of boot clocks.
func (e *examination) clocks() {
	var unsure float64
	for i := range e.Agents {
		for j := range e.Agents[:i] {
			a, b := &e.Agents[j], &e.Agents[i]
			c, turned := e.clock(a, b)
			if c == nil {
				continue
			}
			faster := c.Faster
			if turned {
				faster = -faster
			}
			e.found.Clocks = append(e.found.Clocks, api.ClockPair{A: a.Name, B: b.Name, Faster: 100 * faster, Unsure: 100 * c.Unsure})
			switch off := math.Abs(faster); {
			case off-c.Unsure > rho:
				word := "faster"
				if faster < 0 {
					word = "slower"
				}
				e.trouble(fmt.Sprintf("the clock of %s runs %.2f%% %s than that of %s (measured to %.2f%%): leases tolerate 1%%", b.Name, 100*off, word, a.Name, 100*c.Unsure),
					"find out which one is wrong (chronyc tracking) and which clock source it has; a goose on it may trust its lease for too long")
			case off+c.Unsure > rho:
				unsure = max(unsure, c.Unsure)
			}
		}
	}
	if unsure > 0 {
		e.note(api.FindingNote, fmt.Sprintf("clock rates were measured to %.1f%% only, not to the 1%% that leases tolerate", 100*unsure), "measure for longer: ddgoose doctor --for 20s")
	}
}

// clock returns the more exact of both ends' measurements. turned says that it is
// b's measurement of a's clock.
func (e *examination) clock(a, b *Agent) (c *Clock, turned bool) {
	there, back := e.all[pair{a.ID, b.ID}], e.all[pair{b.ID, a.ID}]
	if there == nil || back == nil {
		return nil, false
	}
	if back.clock != nil && (there.clock == nil || back.clock.Unsure < there.clock.Unsure) {
		return back.clock, true
	}
	return there.clock, false
}
