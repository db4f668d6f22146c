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
	// killTimeEach is how long one processor of a busy machine takes to find and kill a
	// process and to free its memory. At most killTimeCores processors share that work.
	killTimeEach  = 900 * time.Microsecond
	killTimeCores = 8
	// killTimeTurns is how often a killed process waits for a processor: once per thread,
	// and more often with a large memory. The most in 200 kills was 4.5.
	killTimeTurns = 5
	// turn is how long such a wait takes: the kernel runs another process meanwhile.
	turn = 4 * time.Millisecond
)

// killTimes estimates how long killed processes take to be gone. It learns from each kill.
type killTimes struct {
	mu    sync.Mutex  // guards what follows
	queue decayingMax // how long a killed process may wait for a processor
	took  decayingMax // from the kill until everything was gone
}

// look measures how busy this machine is now.
func (b *killTimes) look() {
	text, ok := readProc("/proc/loadavg")
	if fields := strings.Fields(text); ok && len(fields) > 3 {
		running, _, _ := strings.Cut(fields[3], "/")
		n, err := strconv.Atoi(running) // with this process
		if err == nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.queue.saw(time.Duration(n-1)*killTimeTurns*turn/time.Duration(runtime.NumCPU()), boottime.Now())
		}
	}
}

// seen returns how long recent kills took.
func (b *killTimes) seen() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.took.left(boottime.Now())
}

// guess estimates how long this many processes take to be gone: as long as recent kills,
// or longer if there are many processes or this machine is busy.
func (b *killTimes) guess(processes int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := boottime.Now()
	return max(b.took.left(now), killTimeOf(processes)+b.queue.left(now))
}

// killTimeOf estimates how long this many processes take to be gone, without any measurement.
func killTimeOf(processes int) time.Duration {
	return time.Duration(processes) * killTimeEach / time.Duration(min(runtime.NumCPU(), killTimeCores))
}

// saw learns from a kill that took this long.
func (b *killTimes) saw(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took.saw(took, boottime.Now())
}
