package check

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// readers is used as the holder's name where agents only show that they are the goose.
const readers = ""

// flock is what was observed of the geese of one election of a flock.
type flock struct {
	leaders map[uint64]string // token -> who led it (P1)
	acts    []act
	highs   []high // grows in both fields
	periods int
	configs map[configKey]Config
	agreed  agreed
	marks   marks
}

// act is a right to act as the goose, or to be seen as the goose.
type act struct {
	agent, holder string // holder "": readers
	token         uint64
	since, until  time.Duration
}

// high is a token that everybody could know from a moment on.
type high struct {
	at    time.Duration
	token uint64
	agent string
}

type configKey struct{ generation, term, version uint64 }

func keyOf(r *Record) configKey { return configKey{r.Generation, r.Config.Term, r.Config.Version} }

func (k configKey) compare(o configKey) int {
	return cmp.Or(cmp.Compare(k.generation, o.generation), cmp.Compare(k.term, o.term), cmp.Compare(k.version, o.version))
}

// agreed is the newest table that a majority has taken.
type agreed struct {
	key   configKey
	table string
}

// keptBy reports whether a config still has the table. A recovery starts a new one.
func (a *agreed) keptBy(k configKey, table string) bool {
	return k.generation != a.key.generation || k.compare(a.key) <= 0 || strings.HasPrefix(table, a.table)
}

// lead checks P1.
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

// grant records a deadline of an agent's readers, or of one of its holders, and
// checks P2: rights that overlap must be of one agent and one token.
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
	return cmp.Or(v, f.order(e, e.At))
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

// answer checks P2 and P3 where only single answers are seen: there is a violation
// if another agent acted during all of the time in which the answer may have been true.
func (f *flock) answer(e *Event) *Violation {
	v := f.lead(e)
	for _, a := range f.acts {
		if v == nil && a.agent != e.Agent && a.since <= e.Since && a.until >= e.At {
			v = broken("P2", e, "%s answered that it is the goose of token %d, asked at %v, while %s is the goose of token %d from %v until %v%s",
				e.Agent, e.Token, e.Since, a.agent, a.token, a.since, a.until, by(a.holder))
		}
	}
	return cmp.Or(v, f.order(e, e.Since))
}

// order checks P3: a period that begins at since or later has no lower token than those
// known before.
func (f *flock) order(e *Event, since time.Duration) *Violation {
	i, _ := slices.BinarySearchFunc(f.highs, since, func(h high, t time.Duration) int { return cmp.Compare(h.at, t) })
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

// config checks that configs of the same number have the same voters and table, and
// that no later config has lost a table that a majority has taken.
func (f *flock) config(e *Event) *Violation {
	c, k := e.Record.Config, keyOf(&e.Record)
	if c.Voters == "" {
		return nil
	}
	old, known := f.configs[k]
	switch {
	case !known:
		f.configs[k] = c
	case old.Voters != c.Voters:
		return broken("P1", e, "config (%d, %d) of generation %d has voters %s at %s, and %s elsewhere",
			c.Term, c.Version, k.generation, c.Voters, e.Agent, old.Voters)
	case old.Table != c.Table:
		return broken("P1", e, "config (%d, %d) of generation %d has table %q at %s, and %q elsewhere",
			c.Term, c.Version, k.generation, c.Table, e.Agent, old.Table)
	}
	if !f.agreed.keptBy(k, c.Table) {
		return f.lost(e, k, c.Table, f.agreed)
	}
	return nil
}

// agree records that a majority has taken a config and its table.
func (f *flock) agree(e *Event) *Violation {
	a := agreed{keyOf(&e.Record), e.Record.Config.Table}
	var first configKey
	found := false
	for k, c := range f.configs {
		if !a.keptBy(k, c.Table) && (!found || k.compare(first) < 0) {
			first, found = k, true
		}
	}
	if a.key.compare(f.agreed.key) > 0 {
		f.agreed = a
	}
	if found {
		return f.lost(e, first, f.configs[first].Table, a)
	}
	return nil
}

func (f *flock) lost(e *Event, k configKey, table string, a agreed) *Violation {
	return broken("P6", e, "config (%d, %d) of generation %d has table %q, while a majority had taken %q with (%d, %d)",
		k.term, k.version, k.generation, table, a.table, a.key.term, a.key.version)
}
