package quietlog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// output is a log's reader: it fails with the errors given, then takes a write
// at each receive from gate; a nil gate takes all.
type output struct {
	gate chan struct{}

	mu     sync.Mutex
	errs   []error
	writes []string
}

func (o *output) Write(b []byte) (int, error) {
	if o.gate != nil {
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.errs) > 0 {
		err := o.errs[0]
		o.errs = o.errs[1:]
		n := len(b) / 2
		o.writes = append(o.writes, string(b[:n]))
		return n, err
	}
	o.writes = append(o.writes, string(b))
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.writes, "")
}

func none(uint64) {}

func TestQueueWritesEverythingInOrderBeforeItCloses(t *testing.T) {
	var out output
	q := NewQueue(&out, none)
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "%d\n", i)
		n, err := fmt.Fprintf(q, "%d\n", i)
		require.NoError(t, err)
		require.NotZero(t, n)
	}
	q.Close(time.Minute)
	require.Equal(t, want.String(), out.String())
	q.Close(time.Minute)
}

func TestQueueDoesNotKeepItsCallersBytes(t *testing.T) {
	out := output{gate: make(chan struct{})}
	q := NewQueue(&out, none)
	b := []byte("first\n")
	_, _ = q.Write(b)
	copy(b, "other\n")
	close(out.gate)
	q.Close(time.Minute)
	require.Equal(t, "first\n", out.String())
}

func TestStalledReaderCostsLinesNotTimeAndIsToldHowMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := output{gate: make(chan struct{})}
		var q *Queue
		q = NewQueue(&out, func(n uint64) { fmt.Fprintf(q, "%d dropped\n", n) })
		line := bytes.Repeat([]byte("x"), 1<<10)
		line[len(line)-1] = '\n'
		_, _ = q.Write(line)
		synctest.Wait() // and the reader takes nothing
		for range queueMost/len(line) + 7 {
			_, err := q.Write(line)
			require.NoError(t, err)
		}
		began := time.Now()
		q.Close(time.Second)
		require.Equal(t, time.Second, time.Since(began), "the end of a process waits for no reader")
		require.Empty(t, out.String())
		close(out.gate)
		q.Close(time.Second)
		require.True(t, strings.Contains(out.String(), "\n7 dropped\n"))
		require.Len(t, out.String(), queueMost+len(line)+len("7 dropped\n"))
	})
}

func TestReaderThatIsGoneIsNoError(t *testing.T) {
	out := output{errs: []error{syscall.EPIPE, io.ErrClosedPipe}}
	q := NewQueue(&out, none)
	var told []uint64
	q.lost = func(n uint64) { told = append(told, n) }
	for range 3 {
		_, err := q.Write([]byte("ab"))
		require.NoError(t, err)
	}
	q.Close(time.Minute)
	require.Equal(t, "aaab", out.String(), "a later reader gets the later lines")
	require.Equal(t, []uint64{2}, told)
}

func TestOutputThatIsNonBlockingGetsTheRestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := output{errs: []error{&os.PathError{Op: "write", Path: "stderr", Err: syscall.EAGAIN}}}
		q := NewQueue(&out, func(uint64) { t.Error("nothing was lost") })
		_, _ = q.Write([]byte("abcd"))
		q.Close(time.Minute)
		require.Equal(t, "abcd", out.String())
	})
}
