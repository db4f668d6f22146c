package quietlog

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

const (
	// queueMost bounds the bytes that wait for a reader that stalls.
	queueMost = 256 << 10
	// retryPause spaces the tries at an output that another process made non-blocking.
	retryPause = 10 * time.Millisecond
)

// Queue is a writer that never waits for its output, for example a pipe that
// nobody reads. What does not fit is dropped and counted. It is safe for many
// goroutines.
type Queue struct {
	out  io.Writer
	lost func(lines uint64)

	wake   chan struct{} // capacity 1: something waits, or Close was called
	closed chan struct{} // closed by Close
	ended  chan struct{} // closed after the last write
	once   sync.Once

	mu struct { // guards what follows
		sync.Mutex
		waiting [][]byte
		bytes   int    // in waiting
		dropped uint64 // since lost was last called
	}
}

// NewQueue starts a queue in front of out. Once out takes data again, lost is
// told how many writes were dropped; it may write to the queue.
func NewQueue(out io.Writer, lost func(lines uint64)) *Queue {
	q := &Queue{
		out: out, lost: lost,
		wake: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	go q.serve()
	return q
}

// Write queues b and reports no error: nobody could be told of it.
func (q *Queue) Write(b []byte) (int, error) {
	q.mu.Lock()
	if q.mu.bytes+len(b) > queueMost {
		q.mu.dropped++
	} else {
		q.mu.waiting = append(q.mu.waiting, append([]byte(nil), b...))
		q.mu.bytes += len(b)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return len(b), nil
}

// Close waits until everything queued is written, for at most this long. Later
// writes are lost. It is safe to call twice.
func (q *Queue) Close(within time.Duration) {
	q.once.Do(func() { close(q.closed) })
	select {
	case <-q.ended:
	case <-time.After(within):
	}
}

func (q *Queue) serve() {
	defer close(q.ended)
	for {
		for line, ok := q.next(); ok; line, ok = q.next() {
			if !q.put(line) {
				q.mu.Lock()
				q.mu.dropped++
				q.mu.Unlock()
				continue
			}
			if n := q.takeDropped(); n > 0 {
				q.lost(n)
			}
		}
		select {
		case <-q.wake:
			continue
		default:
		}
		select {
		case <-q.wake:
		case <-q.closed:
			return
		}
	}
}

// next takes the line that has waited longest.
func (q *Queue) next() (line []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.waiting) == 0 {
		q.mu.waiting = nil // frees what a burst took
		return nil, false
	}
	line, q.mu.waiting = q.mu.waiting[0], q.mu.waiting[1:]
	q.mu.bytes -= len(line)
	return line, true
}

// takeDropped returns how many to report, once there is room for the report.
func (q *Queue) takeDropped() (n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.bytes > queueMost/2 {
		return 0
	}
	n, q.mu.dropped = q.mu.dropped, 0
	return n
}

// put writes a line and tells whether the output took it.
func (q *Queue) put(line []byte) bool {
	for {
		n, err := q.out.Write(line)
		if err == nil {
			return true
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return false // the reader is gone, or the disk is full: the next line may fare better
		}
		line = line[n:]
		time.Sleep(retryPause)
	}
}
