package netem

import "time"

// Queue is a queue of events by time, the earliest first. Events of the same time
// keep the order in which they were pushed.
type Queue[T any] struct {
	heap []due[T]
	seq  uint64
}

type due[T any] struct {
	at    time.Duration
	seq   uint64
	value T
}

func (a *due[T]) before(b *due[T]) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// Len returns the number of events.
func (q *Queue[T]) Len() int { return len(q.heap) }

// Next returns the time of the first event. There must be one.
func (q *Queue[T]) Next() time.Duration { return q.heap[0].at }

// Push adds an event.
func (q *Queue[T]) Push(at time.Duration, value T) {
	q.seq++
	d := due[T]{at, q.seq, value}
	q.heap = append(q.heap, d)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if q.heap[parent].before(&d) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = d
}

// Pop removes the first event and returns it. There must be one.
func (q *Queue[T]) Pop() T {
	top := q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap[n] = due[T]{}
	q.heap = q.heap[:n]
	if n == 0 {
		return top.value
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for k := child + 1; k < min(child+4, n); k++ {
			if q.heap[k].before(&q.heap[least]) {
				least = k
			}
		}
		if last.before(&q.heap[least]) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return top.value
}
