package hooks

// Queue holds the events that wait while a hook runs: at most one per subject, the
// newest. A new event takes the place of the old one in the queue, so frequent events
// delay no other.
type Queue struct {
	waiting []Event
}

// subject returns what an event is about. The events goose and duck have one subject:
// this agent's role.
func (e *Event) subject() string {
	switch e.Kind {
	case Goose, Duck:
		return "role"
	case Member:
		return "member " + e.Member.ID
	}
	return string(e.Kind)
}

// Put adds an event, and reports whether it replaced an older one.
func (q *Queue) Put(e Event) (replaced bool) {
	for i := range q.waiting {
		old := &q.waiting[i]
		if old.subject() != e.subject() {
			continue
		}
		if old.only == nil || e.only == nil {
			e.only = nil
		} else {
			e.only = append(append([]Hook{}, old.only...), e.only...)
		}
		e.Was = old.Was
		e.Skipped += old.Skipped + 1
		*old = e
		return true
	}
	q.waiting = append(q.waiting, e)
	return false
}

// Next removes the event that has waited longest.
func (q *Queue) Next() (Event, bool) {
	if len(q.waiting) == 0 {
		return Event{}, false
	}
	e := q.waiting[0]
	q.waiting = append(q.waiting[:0], q.waiting[1:]...)
	return e, true
}

// KeepRole drops everything except the latest event about the role.
func (q *Queue) KeepRole() {
	var kept []Event
	for _, e := range q.waiting {
		if e.Kind == Goose || e.Kind == Duck {
			kept = append(kept, e)
		}
	}
	q.waiting = kept
}
