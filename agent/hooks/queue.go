package hooks

// Queue holds the events that wait while a hook runs: at most one about each
// subject, the newest. It keeps the place of the one it replaces, so that
// nothing that changes all the time keeps itself or another waiting for ever.
type Queue struct {
	waiting []Event
}

// subject is what an event is the latest word on. A goose's and a duck's are
// one: this agent's role.
func (e *Event) subject() string {
	switch e.Kind {
	case Goose, Duck:
		return "role"
	case Member:
		return "member " + e.Member.ID
	}
	return string(e.Kind)
}

// Put adds an event, and tells whether it replaced an older one.
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

// Next takes the event that has waited longest.
func (q *Queue) Next() (Event, bool) {
	if len(q.waiting) == 0 {
		return Event{}, false
	}
	e := q.waiting[0]
	q.waiting = append(q.waiting[:0], q.waiting[1:]...)
	return e, true
}

// KeepRole forgets all but the latest word on the role.
func (q *Queue) KeepRole() {
	var kept []Event
	for _, e := range q.waiting {
		if e.Kind == Goose || e.Kind == Duck {
			kept = append(kept, e)
		}
	}
	q.waiting = kept
}
