package apitest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// Main runs a package's tests, and fails when they leave goroutines behind.
func Main(m *testing.M) int {
	before := runtime.NumGoroutine()
	code := m.Run()
	if fuzz := flag.Lookup("test.fuzz"); code != 0 || fuzz.Value.String() != "" {
		return code // the fuzzing engine leaves its own behind
	}
	for end := time.Now().Add(Patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines stay behind:")
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1) // the test fails either way
			return 1
		}
	}
	return 0
}
