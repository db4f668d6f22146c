package sim

import "time"

// occurrence is something that happens at a moment of true time. Those of one
// moment happen in the order in which they were made.
type occurrence struct {
	at     time.Duration
	seq    uint64
	life   *life // it concerns this life alone; nil: whatever runs then
	do     func()
	to     *agent // which a datagram reaches, if there is nothing to do
	flight *flight
}

// after has something happen later.
func (s *Sim) after(d time.Duration, do func()) { s.queue.push(occurrence{at: s.now + d, do: do}) }

// after has something happen later, unless this life is over by then.
func (l *life) after(d time.Duration, do func()) {
	l.sim.queue.push(occurrence{at: l.sim.now + d, life: l, do: do})
}

// reach has a datagram reach a machine later.
func (s *Sim) reach(to *agent, d time.Duration, f *flight) {
	s.queue.push(occurrence{at: s.now + d, to: to, flight: f})
}

// queue is a heap of occurrences, the earliest first.
type queue struct {
	heap []occurrence
	seq  uint64
}

func (o *occurrence) before(p *occurrence) bool {
	return o.at < p.at || o.at == p.at && o.seq < p.seq
}

func (q *queue) push(o occurrence) {
	q.seq++
	o.seq = q.seq
	q.heap = append(q.heap, o)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if q.heap[parent].before(&o) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = o
}

func (q *queue) pop() occurrence {
	top := q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap[n] = occurrence{}
	q.heap = q.heap[:n]
	if n == 0 {
		return top
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
	return top
}
