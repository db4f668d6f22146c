package memtest

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// failure is a test that notes how it failed.
type failure struct {
	testing.TB
	text string
}

func (f *failure) Helper() {}
func (f *failure) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic(f)
}

// failureOf runs inputs, and tells how they made the test fail; "": they did not.
func failureOf(inputs int, run func()) string {
	f := &failure{}
	func() {
		defer func() { _ = recover() }()
		var w Watch // without patience
		for range inputs {
			w.Input(f, run)
		}
	}()
	return f.text
}

var sink []byte

func TestOneInputThatAllocatesMuchFails(t *testing.T) {
	require.Empty(t, failureOf(4, func() { sink = make([]byte, perInput/2) }))
	require.Contains(t, failureOf(4, func() { sink = make([]byte, perInput+1) }), "one input allocated")
}

func TestManyInputsThatKeepALittleFail(t *testing.T) {
	const inputs = first + 2*round
	require.Empty(t, failureOf(inputs, func() { sink = make([]byte, 16<<10) }))
	var kept [][]byte
	require.Contains(t, failureOf(inputs, func() { kept = append(kept, make([]byte, 4<<10)) }), "memory grows")
	runtime.KeepAlive(kept)
}
