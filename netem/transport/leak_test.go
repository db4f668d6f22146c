package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/memory"
)

// leaks watches what passes between two hosts while the rules of one change.
type leaks struct {
	t        *testing.T
	rng      *rand.Rand
	a, b     *host
	streams  [][2]net.Conn // a's side, b's side
	readers  sync.WaitGroup
	read     chan struct{} // one for each read of a stream that gave something
	dialed   chan net.Conn // dials that are under way will come here; nil: failed
	underWay int
}

// TestNothingLeaksPastACutWhateverWasDelayed: rules change at random while
// datagrams are on their way, delayed, doubled and queued, and streams carry
// what they can. Once a cut stands nothing passes in its directions, and no
// stream at all; without one, everything passes that nothing takes.
func TestNothingLeaksPastACutWhateverWasDelayed(t *testing.T) {
	rules := []struct {
		text         string
		cutOut, cutI bool
	}{
		{"", false, false},
		{"out b: cut", true, false},
		{"in b: cut", false, true},
		{"b: cut", true, true},
		{"out 10.0.0.2: cut; *: delay 30ms", true, false},
		{"b: delay 50ms 40ms", false, false},
		{"*: delay 20ms 10ms duplicate 50% reorder 20%", false, false},
		{"b: rate 256kbit", false, false},
		{"in *: delay 100ms; out b: rate 64kbit", false, false},
	}
	for seed := range uint64(15) {
		bubble(t, func(t *testing.T, a, b *host) {
			l := &leaks{t: t, rng: rand.New(rand.NewPCG(seed, 0)), a: a, b: b, read: make(chan struct{}, 100_000), dialed: make(chan net.Conn, 100)}
			for round := range 25 {
				r := rules[l.rng.IntN(len(rules))]
				what := fmt.Sprintf("seed %d, round %d, rules %q", seed, round, r.text)
				a.set(t, r.text)
				time.Sleep(2 * memory.Latency) // what had left for the network below arrives
				l.forget()
				l.talk(time.Duration(1+l.rng.IntN(150)) * time.Millisecond)
				atA, atB, streams := len(a.got()), len(b.got()), len(l.read)
				require.False(t, r.cutI && atA > 0, "%s: %d datagrams came in", what, atA)
				require.False(t, r.cutOut && atB > 0, "%s: %d datagrams went out", what, atB)
				require.False(t, (r.cutI || r.cutOut) && streams > 0, "%s: streams gave something %d times", what, streams)
				if r.text == "" {
					require.True(t, atA > 0 && atB > 0, what)
				}
			}
			a.Clear()
			l.end()
		})
	}
}

// forget throws away what has been seen.
func (l *leaks) forget() {
	l.a.got()
	l.b.got()
	for len(l.read) > 0 {
		<-l.read
	}
}

// talk sends both ways for a while, by datagrams and by every stream that lives.
func (l *leaks) talk(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		l.a.send(l.t, l.b, "%0100d", 1)
		l.b.send(l.t, l.a, "%0100d", 2)
		l.adopt()
		if len(l.streams)+l.underWay < 3 {
			l.dial()
		}
		l.streams = l.living()
	}
}

// dial opens a stream from a; under a cut that takes as long as the cut.
func (l *leaks) dial() {
	l.underWay++
	l.readers.Go(func() {
		ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
		defer cancel()
		c, _ := l.a.Dial(ctx, addrB) // nil when it came to nothing
		l.dialed <- c
	})
}

// adopt takes the streams that have been opened.
func (l *leaks) adopt() {
	synctest.Wait()
	for len(l.dialed) > 0 {
		l.underWay--
		mine := <-l.dialed
		if mine == nil {
			continue
		}
		select {
		case theirs := <-l.b.streams:
			l.streams = append(l.streams, [2]net.Conn{mine, theirs})
			l.listen(mine)
			l.listen(theirs)
		default:
			_ = mine.Close() // cut before it got there
		}
	}
}

func (l *leaks) listen(c net.Conn) {
	l.readers.Go(func() {
		for b := make([]byte, 100); ; {
			n, err := c.Read(b)
			if n > 0 {
				l.read <- struct{}{}
			}
			if err != nil {
				return
			}
		}
	})
}

// living writes to the streams, and gives those that still take it.
func (l *leaks) living() (kept [][2]net.Conn) {
	for _, s := range l.streams {
		alive := true
		for _, c := range s {
			_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a cut stream is closed already
			if _, err := c.Write([]byte("x")); err != nil {
				alive = alive && errors.Is(err, os.ErrDeadlineExceeded)
			}
		}
		if alive {
			kept = append(kept, s)
			continue
		}
		for _, c := range s {
			_ = c.Close() // either end may have gone
		}
	}
	return kept
}

func (l *leaks) end() {
	for l.underWay > 0 {
		time.Sleep(time.Second)
		l.adopt()
	}
	for _, s := range l.streams {
		for _, c := range s {
			_ = c.Close() // either end may have gone
		}
	}
	for len(l.b.streams) > 0 {
		_ = (<-l.b.streams).Close()
	}
	l.readers.Wait()
}
