package doctor

import (
	"math/bits"
	"slices"

	"duckduckgoose/agent/api"
)

// usableLoss is the loss up to which a path counts for an election. The rules
// work with more loss, but not within the promised time (P4).
const usableLoss = 0.5

// truth is yes, no, or unknown because some agents did not answer.
type truth uint8

const (
	unknown truth = iota
	no
	yes
)

func (t truth) String() string { return [...]string{api.Unknown, api.No, api.Yes}[t] }

// truthOf returns yes if it is sure, unknown if it is only possible, else no.
func truthOf(surely, perhaps bool) truth {
	switch {
	case surely:
		return yes
	case perhaps:
		return unknown
	}
	return no
}

// direction is the path from one agent to another.
type direction struct {
	sent, large     int
	loss, largeLoss *float64 // nil: unknown
	rtt             float64  // ms; 0: nothing came back
	stream          string
	clock           *Clock
}

// usable reports whether an election can rely on the path.
func (d *direction) usable() truth {
	return truthOf(d.loss != nil && *d.loss <= usableLoss, d.loss == nil)
}

// cut reports whether the path loses everything.
func (d *direction) cut() bool { return d.loss != nil && *d.loss == 1 }

// clean reports whether the path loses so little that streams must work.
func (d *direction) clean() bool { return d.loss != nil && *d.loss <= troubleLoss }

// pair names one direction by ids.
type pair struct{ from, to string }

// links returns every direction between live agents. It takes the receiver's own
// counts; if that agent did not report, the answers that it sent to probes.
func links(p *Flock) map[pair]*direction {
	all := map[pair]*direction{}
	for _, a := range p.Agents {
		for _, b := range p.Agents {
			if a.ID != b.ID && a.State == api.StateAlive && b.State == api.StateAlive {
				all[pair{a.ID, b.ID}] = directionOf(&a, &b)
			}
		}
	}
	return all
}

func directionOf(a, b *Agent) *direction {
	d := &direction{}
	if a.Report == nil {
		return d
	}
	d.stream = a.Report.Streams[b.ID]
	for _, path := range a.Report.Paths {
		if path.To != b.ID || path.Sent == 0 {
			continue
		}
		heard, told := path.Heard|path.Answered&path.Sent, path.Answered != 0
		if b.Report != nil {
			told = true
			for _, h := range b.Report.Heard {
				if h.From == a.ID {
					heard |= h.Probes & path.Sent
				}
			}
		}
		d.sent, d.large = bits.OnesCount64(path.Sent), bits.OnesCount64(path.Large&path.Sent)
		if told {
			d.loss, d.largeLoss = lost(path.Sent, heard), lost(path.Large&path.Sent, heard)
		}
		d.rtt, d.clock = float64(path.RTT)/1e6, path.Clock
	}
	return d
}

// lost is the part of sent that was not heard; nil when nothing was sent.
func lost(sent, heard uint64) *float64 {
	n := bits.OnesCount64(sent)
	if n == 0 {
		return nil
	}
	return new(float64(n-bits.OnesCount64(sent&heard)) / float64(n))
}

// electable reports whether a voter could be elected: it talks both ways with a
// majority of the voters, itself counted, none of them being dead.
func electable(c *Config, who Voter, alive map[string]bool, all map[pair]*direction) truth {
	if who.Priority == 0 || !alive[who.ID] {
		return no
	}
	quorum := len(c.Voters)/2 + 1
	surely, perhaps := 1, 1
	for _, v := range c.Voters {
		if v.ID == who.ID || !alive[v.ID] {
			continue
		}
		switch there, back := all[pair{who.ID, v.ID}].usable(), all[pair{v.ID, who.ID}].usable(); {
		case there == yes && back == yes:
			surely, perhaps = surely+1, perhaps+1
		case there != no && back != no:
			perhaps++
		}
	}
	return truthOf(surely >= quorum, perhaps >= quorum)
}

// canElect reports whether some voter could be elected, and which.
func canElect(c *Config, alive map[string]bool, all map[pair]*direction) (can truth, who []Voter) {
	byRank := func(a, b Voter) int { return int(b.Priority) - int(a.Priority) }
	surely, perhaps := false, false
	for _, v := range slices.SortedStableFunc(slices.Values(c.Voters), byRank) {
		switch electable(c, v, alive, all) {
		case yes:
			surely, who = true, append(who, v)
		case unknown:
			perhaps = true
		}
	}
	return truthOf(surely, perhaps), who
}
