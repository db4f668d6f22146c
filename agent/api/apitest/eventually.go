package apitest

import (
	"fmt"
	"testing"
	"time"
)

// Patience is when a test gives up on what a busy machine does within seconds.
const Patience = 2 * time.Minute

// Eventually waits for a condition, and looks less and less often. Unlike require.Eventually it
// asks in the test's own goroutine, so the condition may fail the test.
func Eventually(t testing.TB, is func() bool, format string, args ...any) {
	t.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; !is(); pause = min(2*pause, 20*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Patience, fmt.Sprintf(format, args...))
		}
		time.Sleep(pause)
	}
}
