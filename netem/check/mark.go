package check

// marks are what the geese of one election said of its mark (P9), by token.
type marks struct {
	periods map[uint64]*markPeriod
	raised  map[markKey]string // who reported it
}

// markKey is a mark of one generation: a recovery may lower it.
type markKey struct{ generation, mark uint64 }

// markPeriod is one goose period.
type markPeriod struct {
	begun           bool
	base, committed uint64 // what it began with, and the largest it reported
}

const generationShift = 40 // of tokens

func (m *marks) period(token uint64) *markPeriod {
	if m.periods == nil {
		m.periods, m.raised = map[uint64]*markPeriod{}, map[markKey]string{}
	}
	p := m.periods[token]
	if p == nil {
		p = &markPeriod{}
		m.periods[token] = p
	}
	return p
}

// begin checks that a goose knows what was reported in earlier periods.
func (m *marks) begin(e *Event) *Violation {
	p := m.period(e.Token)
	if p.begun {
		return nil
	}
	p.begun, p.base = true, e.Mark
	return m.ordered(e)
}

// commit records a mark that was reported as raised. No other goose may have raised it.
func (m *marks) commit(e *Event) *Violation {
	p := m.period(e.Token)
	p.committed = max(p.committed, e.Mark)
	k := markKey{e.Token >> generationShift, e.Mark}
	if who, taken := m.raised[k]; taken {
		return broken("P9", e, "mark %d was given to %s already, and then to %s under token %d", e.Mark, who, e.Agent, e.Token)
	}
	m.raised[k] = e.Agent
	return m.ordered(e)
}

// ordered checks the period of e against the others: the goose of a later period knows
// what was reported in an earlier one, in whichever order the two were observed.
func (m *marks) ordered(e *Event) *Violation {
	own := m.periods[e.Token]
	for token, other := range m.periods {
		early, late, lost := own, other, token > e.Token
		if token < e.Token {
			early, late, lost = other, own, true
		}
		if lost && token>>generationShift == e.Token>>generationShift && late.begun && late.base < early.committed {
			return broken("P9", e, "mark %d, committed under token %d, is lost: token %d began with mark %d",
				early.committed, min(token, e.Token), max(token, e.Token), late.base)
		}
	}
	return nil
}
