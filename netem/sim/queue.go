package sim

import "time"

// what is the kind of an occurrence.
type what uint8

const (
	onArrival   what = iota // a datagram reaches its machine
	onDeparture             // a datagram that waited for a slow disk leaves
	onTimer                 // an agent's loop wakes
	onGossip                // an agent looks around
	onHolder                // a holder's timer
	onTold                  // readers learn of a lease after a slow disk
	onAsk                   // a question or an answer comes
	onReplay                // a recorded datagram reaches its machine again
	onResume                // a pause or a sleep ends
	onStart                 // an agent comes back
	onOp                    // a scheduled fault
	onUndo                  // a fault of limited time ends
	onFlap                  // links are drawn anew
	onHandOver              // the next of many hand-overs is due
)

// occurrence is something that happens at a moment of true time. Those of one
// moment happen in the order in which they were made.
type occurrence struct {
	at     time.Duration
	seq    uint64
	what   what
	agent  *agent
	life   uint64 // it concerns this life alone; 0: the machine
	flight *flight
	holder *holder
	do     func()
	n      int
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
