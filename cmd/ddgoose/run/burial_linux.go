package run

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
)

const (
	// burialEach is how long a processor takes until one process is found, killed and
	// gone, on a machine that is busy: the kernel takes its memory apart. No more than
	// burialCores share that work.
	burialEach  = 900 * time.Microsecond
	burialCores = 8
	// burialTurns is how often a killed process waits for its turn at a processor:
	// each thread needs one, and a large memory more. In 200 kills it was 4.5 at most.
	burialTurns = 5
	// turn is how long the kernel lets another process run meanwhile.
	turn = 4 * time.Millisecond
)

// burials estimates how long what is killed takes to be gone, and learns from each time.
type burials struct {
	mu    sync.Mutex // guards what follows
	queue fading     // how long a killed process may wait for the load
	took  fading     // from the kill to the end of all
}

// look sees how busy this machine is now.
func (b *burials) look() {
	text, ok := readProc("/proc/loadavg")
	if fields := strings.Fields(text); ok && len(fields) > 3 {
		running, _, _ := strings.Cut(fields[3], "/")
		n, err := strconv.Atoi(running) // with this process
		if err == nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.queue.saw(time.Duration(n-1)*burialTurns*turn/time.Duration(runtime.NumCPU()), boottime.Now())
		}
	}
}

// seen is how long the kills that were seen took, of late.
func (b *burials) seen() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.took.left(boottime.Now())
}

// guess is how long so many processes take to be gone: as seen, or more where there
// are many of them or this machine is busy now.
func (b *burials) guess(processes int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := boottime.Now()
	return max(b.took.left(now), burialOf(processes)+b.queue.left(now))
}

// burialOf is how long so many processes take to be gone, before any were seen to.
func burialOf(processes int) time.Duration {
	return time.Duration(processes) * burialEach / time.Duration(min(runtime.NumCPU(), burialCores))
}

// saw learns how long it took.
func (b *burials) saw(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took.saw(took, boottime.Now())
}
