// Package memtest fails a fuzz target whose memory grows: too much by one input, or
// permanently over many.
package memtest

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

const (
	// perInput bounds what one input may allocate.
	perInput = 64 << 20
	// growth bounds what stays in use beyond the level after the first inputs.
	growth = 10 << 20
	// first is how many those are. By then Go's fuzzer has a buffer of 25 MiB.
	first = 16384
	// round is how many inputs pass between two looks at what stays in use.
	round = 2048
	// patience bounds the wait for what inputs started to end. Go ends an input after 10 s.
	patience = 5 * time.Second
)

// Watch watches the memory of one fuzz target, in each of its processes.
type Watch struct {
	patience time.Duration
	inputs   int
	level    uint64 // in use after the first inputs
}

// New begins to watch.
func New() *Watch { return &Watch{patience: patience} }

// Input runs one input.
func (w *Watch) Input(t testing.TB, run func()) {
	t.Helper()
	before := allocated()
	run()
	if n := allocated() - before; n > perInput {
		t.Fatalf("one input allocated %d bytes: want %d at most", n, perInput)
	}
	w.inputs++
	switch {
	case w.inputs == first:
		w.level = inUse()
	case w.inputs > first && w.inputs%round == 0:
		w.look(t)
	}
}

func (w *Watch) look(t testing.TB) {
	t.Helper()
	end := time.Now().Add(w.patience)
	for now := inUse(); now > w.level+growth; now = inUse() {
		if time.Now().After(end) {
			t.Fatalf("memory grows: %d bytes in use after %d inputs, %d after %d", now, w.inputs, w.level, first)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// inUse is the live heap and the stacks.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
