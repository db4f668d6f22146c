package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"duckduckgoose/netem"
)

// Plan says what random schedules are to be like.
type Plan struct {
	Agents  int           // 0: drawn, 3 to 9
	Timing  Timing        // zero: drawn
	Latency time.Duration // 0: drawn to fit the timing
	For     time.Duration // default 5m
	Every   time.Duration // a fault about so often; 0: drawn, 1s to 15s
	Faults  []string      // the verbs to draw from; none: all, and each run leaves some out
	Only    []int         // keep only these faults of the schedule, counted from 0; nil: all
}

// Drawn gives the settings of the run that a seed stands for.
func Drawn(seed uint64, p Plan) Settings {
	d := netem.NewDice(seed, netem.Out, "plan")
	set := Settings{Seed: seed, Agents: p.Agents, Voters: 5, Timing: p.Timing, Latency: p.Latency, For: cmp.Or(p.For, 5*time.Minute), Heal: true}
	if set.Agents == 0 {
		set.Agents = 3 + int(d.Uint64()%5)
		if oneIn(&d, 10) {
			set.Agents += 2
		}
	}
	if oneIn(&d, 5) {
		set.Voters = [...]int{1, 3, 7}[d.Uint64()%3]
	}
	if set.Timing == (Timing{}) {
		set.Timing = [...]Timing{
			{50 * time.Millisecond, 500 * time.Millisecond}, {50 * time.Millisecond, 500 * time.Millisecond},
			{10 * time.Millisecond, 100 * time.Millisecond}, {150 * time.Millisecond, 1500 * time.Millisecond},
			{100 * time.Millisecond, 400 * time.Millisecond},
		}[d.Uint64()%5]
	}
	if set.Latency == 0 {
		set.Latency = between(&d, 50*time.Microsecond, set.Timing.Lease/50)
	}
	set.Together = set.Agents
	switch k := d.Uint64() % 6; {
	case k == 0:
		set.Together = 0
	case k == 1:
		set.Together, set.Expect = 0, set.Agents
	case k == 2:
		set.Together = 1 + int(d.Uint64()%uint64(set.Agents))
	}
	set.Holders = int(d.Uint64() % 3)
	set.Timings, set.Priorities, set.Observers = map[string]Timing{}, map[string]uint8{}, map[string]bool{}
	for i := range set.Agents {
		name := nameOfIndex(i)
		if p.Timing == (Timing{}) && oneIn(&d, 12) { // nobody has to agree on timing
			set.Timings[name] = Timing{set.Timing.Heartbeat / 2, set.Timing.Lease * 3 / 2}
		}
		switch d.Uint64() % 16 {
		case 0:
			set.Priorities[name] = 200
		case 1:
			if i > 0 {
				set.Priorities[name] = 0
			}
		case 2:
			if i > 2 && set.Expect == 0 {
				set.Observers[name] = true
			}
		}
	}
	// Of their own dice: what came later leaves schedules what they were.
	more := netem.NewDice(seed, netem.Out, "elections and preemption")
	set.Elections, set.Preempts = map[string][]string{}, map[string]time.Duration{}
	for _, name := range []string{"blue", "green", "red"}[:max(0, int(more.Uint64()%6)-2)] {
		set.Elections[name] = nil
		if oneIn(&more, 2) {
			for i := range set.Agents {
				if oneIn(&more, 2) {
					set.Elections[name] = append(set.Elections[name], nameOfIndex(i))
				}
			}
		}
	}
	for i := range set.Agents {
		if oneIn(&more, 8) {
			set.Preempts[nameOfIndex(i)] = between(&more, time.Second, 10*time.Second).Round(time.Millisecond)
		}
	}
	lateDice := netem.NewDice(seed, netem.Out, "late verbs")
	ops := append(drawOps(&d, &set, p, false), drawOps(&lateDice, &set, p, true)...)
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	set.Ops = kept(ops, p.Only)
	return set
}

// kept gives the lines that are to stay.
func kept(ops []Op, only []int) []Op {
	if only == nil {
		return ops
	}
	var left []Op
	for i, o := range ops {
		if slices.Contains(only, i) {
			left = append(left, o)
		}
	}
	return left
}

// drawOps draws a schedule: which faults there are at all, then when each
// strikes whom, and for how long.
func drawOps(d *netem.Dice, set *Settings, p Plan, late bool) []Op {
	var from []string
	for i := range verbs {
		v := &verbs[i]
		if v.Drawn && v.late == late && (len(p.Faults) == 0 && d.Uint64()%4 > 0 || slices.Contains(p.Faults, v.Name)) {
			from = append(from, v.Name)
		}
	}
	every := p.Every
	if every == 0 {
		every = between(d, time.Second, 15*time.Second)
	}
	if len(from) == 0 {
		return nil
	}
	if late {
		every *= 2
	}
	var ops []Op
	w := drawer{d, set}
	for at := below(d, every); at < set.For; at += 1 + below(d, 2*every) {
		o := w.op(from[d.Uint64()%uint64(len(from))])
		o.At = at.Round(time.Microsecond)
		ops = append(ops, o)
	}
	return ops
}

// drawer draws what faults are like.
type drawer struct {
	*netem.Dice
	set *Settings
}

// who draws whom a fault strikes: often the goose.
func (w drawer) who() string {
	if w.Uint64()%3 == 0 {
		return "goose"
	}
	return w.name()
}

func (w drawer) name() string { return nameOfIndex(int(w.Uint64() % uint64(w.set.Agents))) }

// lasts draws a time between lo and hi, short ones as likely as long ones.
func (w drawer) lasts(lo, hi time.Duration) time.Duration {
	octaves := math.Log2(float64(hi) / float64(lo))
	exp := float64(w.Uint64()%1000) / 1000 * octaves
	return time.Duration(float64(lo) * math.Exp2(exp)).Round(100 * time.Microsecond)
}

func (w drawer) op(verb string) Op {
	o := Op{Verb: verb}
	lease := w.set.Timing.Lease
	if v, _ := verbNamed(verb); v.who {
		o.Who = w.who()
	}
	switch verb {
	case "crash":
		o.What = w.word("", "power")
		o.For = w.lasts(lease/100, 60*time.Second)
	case "crash-at":
		o.What = w.word(effectNames[anyEffect:]...) + w.word("", " 1", " 2", " 5") + w.word("", " power")
		o.For = w.lasts(lease/100, 10*time.Second)
	case "stop", "wipe", "leave":
		o.For = w.lasts(lease/10, 60*time.Second)
	case "pause", "suspend":
		o.For = w.lasts(lease/20, 20*time.Second)
	case "rate":
		o.What = w.word("-1%", "1%", "0.5%", "0%", "-0.3%")
	case "partition":
		o.What = w.shape()
		o.For = w.lasts(lease/5, 60*time.Second)
	case "flap":
		o.What = w.lasts(lease/50, 2*lease).String()
		o.For = w.lasts(lease, 20*time.Second)
	case "netem":
		if w.Uint64()%2 == 0 {
			o.Who = "*"
		}
		o.What = w.rules()
		o.For = w.lasts(lease, 60*time.Second)
	case "disk":
		o.What = "ok"
		if w.Uint64()%3 > 0 {
			o.What = "slow " + w.lasts(time.Millisecond, 2*lease).String()
		} else if w.Uint64()%3 == 0 {
			o.What = "fails"
		}
	case "hold":
		o.What = w.word("0", "1", "2")
	case "step-down":
		o.What = w.word("", "", w.name())
	case "freeze":
		o.For = w.lasts(lease, 30*time.Second)
	case "priority":
		o.What = w.word("50", "100", "150", "200", "0")
		if o.Who == "a" || o.Who == "goose" {
			o.What = w.word("100", "150", "200") // somebody must be able to lead
		}
	case "hand-over":
		o.What = w.lasts(lease/20, 2*lease).String()
		o.For = w.lasts(lease, 10*time.Second)
	case "replay":
		o.For = w.lasts(lease/10, 4*lease)
	}
	return o
}

func (w drawer) word(words ...string) string { return words[w.Uint64()%uint64(len(words))] }

// shape draws a partition of any kind.
func (w drawer) shape() string {
	n := w.set.Agents
	switch w.Uint64() % 6 {
	case 0, 1: // two groups
		var groups [2][]string
		for i := range n {
			side := w.Uint64() % 2
			groups[side] = append(groups[side], nameOfIndex(i))
		}
		if len(groups[0]) > 0 && len(groups[1]) > 0 {
			return strings.Join(groups[0], ",") + "/" + strings.Join(groups[1], ",")
		}
		return w.pairs(">", 1)
	case 2: // one alone
		var rest []string
		alone := int(w.Uint64() % uint64(n))
		for i := range n {
			if i != alone {
				rest = append(rest, nameOfIndex(i))
			}
		}
		return strings.Join(rest, ",")
	case 3: // a star or a chain
		var links []string
		hub := int(w.Uint64() % uint64(n))
		chain := w.Uint64()%2 == 0
		for i := range n {
			switch {
			case chain && i > 0:
				links = append(links, nameOfIndex(i-1)+"-"+nameOfIndex(i))
			case !chain && i != hub:
				links = append(links, nameOfIndex(hub)+"-"+nameOfIndex(i))
			}
		}
		return strings.Join(links, ",")
	case 4: // only a few links
		return w.pairs("-", 1+int(w.Uint64()%uint64(2*n)))
	}
	return w.pairs(">", 1+int(w.Uint64()%uint64(2*n)))
}

func (w drawer) pairs(sep string, k int) string {
	var pairs []string
	for range k {
		a, b := w.name(), w.name()
		if a != b {
			pairs = append(pairs, a+sep+b)
		}
	}
	if len(pairs) == 0 {
		pairs = append(pairs, "a"+sep+"b")
	}
	return strings.Join(pairs, ",")
}

// rules draws fault rules, in netem's words.
func (w drawer) rules() string {
	dir := w.word("", "", "out ", "in ")
	peer := "*"
	if w.Uint64()%3 == 0 {
		peer = w.name()
	}
	lease := w.set.Timing.Lease
	var faults []string
	switch w.Uint64() % 7 {
	case 0:
		faults = append(faults, fmt.Sprintf("loss %d%%", 1+w.Uint64()%60))
	case 1:
		faults = append(faults, fmt.Sprintf("loss gemodel %d%% %d%%", 1+w.Uint64()%20, 5+w.Uint64()%60))
	case 2:
		d := w.lasts(time.Millisecond, lease)
		faults = append(faults, fmt.Sprintf("delay %v %v", d, d/2))
	case 3:
		faults = append(faults, fmt.Sprintf("duplicate %d%%", 5+w.Uint64()%60))
	case 4:
		d := w.lasts(time.Millisecond, 3*lease)
		faults = append(faults, fmt.Sprintf("loss %d%%", w.Uint64()%20), fmt.Sprintf("delay %v %v 25%% distribution normal", d, d),
			fmt.Sprintf("duplicate %d%%", w.Uint64()%30), fmt.Sprintf("reorder %d%%", w.Uint64()%50))
	case 5:
		faults = append(faults, fmt.Sprintf("corrupt %d%%", 1+w.Uint64()%30))
	case 6:
		faults = append(faults, "rate "+w.word("64kbit", "256kbit", "1mbit"))
	}
	return dir + peer + ": " + strings.Join(faults, " ")
}
