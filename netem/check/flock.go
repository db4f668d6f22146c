package check

import (
	"slices"
	"time"
)

// readers stands for the holder's name where goose-ship is only told.
const readers = ""

// flock is what was seen of the geese of one flock_id.
type flock struct {
	leaders map[uint64]string // token -> who led it (P1)
	acts    []act
	highs   []high // grows in both fields
	periods int
	configs map[configKey]string // -> voters
}

// act is somebody's right to be taken for the goose.
type act struct {
	agent, holder string // holder "": readers
	token         uint64
	since, until  time.Duration
}

// high says that from at on everybody could know of token.
type high struct {
	at    time.Duration
	token uint64
	agent string
}

type configKey struct{ generation, term, version uint64 }

// lead is P1.
func (f *flock) lead(e *Event) *Violation {
	old, known := f.leaders[e.Token]
	if !known {
		f.leaders[e.Token] = e.Agent
		return nil
	}
	if old != e.Agent {
		return broken("P1", e, "%s and %s both led token %d", old, e.Agent, e.Token)
	}
	return nil
}

// grant gives an agent's readers, or a holder of it, a deadline. Two rights
// that overlap must be of one agent and one token (P2).
func (f *flock) grant(e *Event, holder string) *Violation {
	v := f.lead(e)
	own := -1
	kept := f.acts[:0]
	for _, a := range f.acts {
		switch {
		case a.agent == e.Agent && a.holder == holder:
			own = len(kept)
			if a.token != e.Token || a.until <= e.At {
				a.since = e.At
			}
			a.token, a.until = e.Token, e.Until
		case a.until <= e.At:
			continue
		case v == nil && (a.agent != e.Agent || a.token != e.Token):
			v = broken("P2", e, "%s is the goose of token %d until %v%s, while %s is the goose of token %d until %v%s",
				e.Agent, e.Token, e.Until, by(holder), a.agent, a.token, a.until, by(a.holder))
		}
		kept = append(kept, a)
	}
	f.acts = kept
	if own < 0 {
		f.acts = append(f.acts, act{e.Agent, holder, e.Token, e.At, e.Until})
	}
	if order := f.order(e, e.At); v == nil {
		v = order
	}
	return v
}

func by(holder string) string {
	if holder == readers {
		return ""
	}
	return " by " + holder
}

func (f *flock) release(agent, holder string) {
	f.acts = slices.DeleteFunc(f.acts, func(a act) bool { return a.agent == agent && a.holder == holder })
}

// answer is P2 and P3 where only single answers are seen: nobody else may have
// acted during all of the time in which the answer was true.
func (f *flock) answer(e *Event) *Violation {
	v := f.lead(e)
	for _, a := range f.acts {
		if v == nil && a.agent != e.Agent && a.since <= e.Since && a.until >= e.At {
			v = broken("P2", e, "%s answered that it is the goose of token %d, asked at %v, while %s is the goose of token %d from %v until %v%s",
				e.Agent, e.Token, e.Since, a.agent, a.token, a.since, a.until, by(a.holder))
		}
	}
	if order := f.order(e, e.Since); v == nil {
		v = order
	}
	return v
}

// order is P3: what becomes true at or after since has no lower token than what
// was known before.
func (f *flock) order(e *Event, since time.Duration) *Violation {
	i, _ := slices.BinarySearchFunc(f.highs, since, func(h high, t time.Duration) int {
		if h.at < t {
			return -1
		}
		return 1
	})
	if i > 0 && f.highs[i-1].token > e.Token {
		h := f.highs[i-1]
		return broken("P3", e, "%s is the goose of token %d, after token %d of %s at %v", e.Agent, e.Token, h.token, h.agent, h.at)
	}
	if n := len(f.highs); n == 0 || f.highs[n-1].token < e.Token {
		f.highs = append(f.highs, high{e.At, e.Token, e.Agent})
		f.periods++
	}
	return nil
}

// config holds that one place in the order of configs is one set of voters.
func (f *flock) config(e *Event) *Violation {
	c := e.Record.Config
	if c.Voters == "" {
		return nil
	}
	k := configKey{e.Record.Generation, c.Term, c.Version}
	old, known := f.configs[k]
	if !known {
		f.configs[k] = c.Voters
		return nil
	}
	if old != c.Voters {
		return broken("P1", e, "config (%d, %d) of generation %d has voters %s at %s, and %s elsewhere",
			c.Term, c.Version, k.generation, c.Voters, e.Agent, old)
	}
	return nil
}
