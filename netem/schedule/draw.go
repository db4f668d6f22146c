package schedule

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"duckduckgoose/netem"
)

// Flock is what a schedule is drawn for.
type Flock struct {
	Agents int // named as by Name
	Lease  time.Duration
	For    time.Duration
	Every  time.Duration // a fault about so often; 0: drawn, 1s to 15s
	Faults []string      // the verbs to draw from; none: all, and each schedule leaves some out
}

// Name returns a, b, ..., z, then n27 and so on.
func Name(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return fmt.Sprintf("n%d", i+1)
}

// Draw draws a schedule. Each wave of verbs has a random sequence of its own, so that a later
// wave does not change when and where the faults of earlier ones occur.
func Draw(f Flock, waves ...*netem.Random) (ops []Op) {
	for wave, d := range waves {
		ops = append(ops, draw(d, f, wave)...)
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return ops
}

// draw draws which kinds of faults occur, then for each fault when, where and for
// how long.
func draw(d *netem.Random, f Flock, wave int) (ops []Op) {
	var from []string
	for i := range verbs {
		v := &verbs[i]
		if v.Drawn && v.wave == wave && (len(f.Faults) == 0 && d.Uint64()%4 > 0 || slices.Contains(f.Faults, v.Name)) {
			from = append(from, v.Name)
		}
	}
	every := f.Every
	if every == 0 {
		every = d.Between(time.Second, 15*time.Second)
	}
	if len(from) == 0 {
		return nil
	}
	every <<= min(wave, 2)
	w := drawer{d, f}
	for at := d.Below(every); at < f.For; at += 1 + d.Below(2*every) {
		for more := true; more && at < f.For; {
			o := w.op(w.word(from...))
			o.At = at.Round(time.Microsecond)
			ops = append(ops, o)
			if more = wave > 0 && d.OneIn(3); more { // while what was asked for is under way
				at += time.Microsecond + d.Below(f.Lease/4)
			}
		}
	}
	return ops
}

// drawer draws the details of faults.
type drawer struct {
	*netem.Random
	Flock
}

// who draws the agent that a fault is for: often the goose.
func (w drawer) who() string {
	if w.Uint64()%3 == 0 {
		return "goose"
	}
	return w.name()
}

func (w drawer) name() string { return Name(int(w.Uint64() % uint64(w.Agents))) }

// lasts draws a time between lo and hi, short ones as likely as long ones.
func (w drawer) lasts(lo, hi time.Duration) time.Duration {
	octaves := math.Log2(float64(hi) / float64(lo))
	exp := float64(w.Uint64()%1000) / 1000 * octaves
	return time.Duration(float64(lo) * math.Exp2(exp)).Round(100 * time.Microsecond)
}

func (w drawer) op(verb string) Op {
	o := Op{Verb: verb}
	lease := w.Lease
	if v, _ := Named(verb); v.Who {
		o.Who = w.who()
	}
	switch verb {
	case "crash":
		o.What = w.word("", "power")
		o.For = w.lasts(lease/100, 60*time.Second)
	case "crash-at":
		o.What = w.word(Effects...) + w.word("", " 1", " 2", " 5") + w.word("", " power")
		o.For = w.lasts(lease/100, 10*time.Second)
	case "stop", "wipe", "leave", "unwell":
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
	case "slow":
		o.What = w.word("*", w.pairs(">", 1+int(w.Uint64()%uint64(2*w.Agents))), w.pairs("-", 1+int(w.Uint64()%3)))
		o.What += " " + w.lasts(lease/500, min(2*lease, slowest)).String()
		o.For = w.lasts(lease, 60*time.Second)
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
	case "forge":
		o.What = w.word("reject", "vote", "beat") + " last" // a plausible term may keep a newcomer from becoming a voter
	case "recover":
		at := int(w.Uint64() % uint64(w.Agents))
		o.What = Name(at)
		for i := range 1 + int(w.Uint64()%2) {
			o.What += "," + Name((at+i+1)%w.Agents)
		}
		o.For = w.lasts(lease, 20*time.Second)
	case "replay":
		o.For = w.lasts(lease/10, 4*lease)
	}
	return o
}

func (w drawer) word(words ...string) string { return words[w.Uint64()%uint64(len(words))] }

// shape draws a partition of any kind.
func (w drawer) shape() string {
	n := w.Agents
	switch w.Uint64() % 6 {
	case 0, 1: // two groups
		var groups [2][]string
		for i := range n {
			side := w.Uint64() % 2
			groups[side] = append(groups[side], Name(i))
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
				rest = append(rest, Name(i))
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
				links = append(links, Name(i-1)+"-"+Name(i))
			case !chain && i != hub:
				links = append(links, Name(hub)+"-"+Name(i))
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
	lease := w.Lease
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
