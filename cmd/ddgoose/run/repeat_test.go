package run

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASignalHeardTwiceIsNotMeantTwice(t *testing.T) {
	t0 := time.Now()
	var r Repeat
	for _, c := range []struct {
		sig   os.Signal
		after time.Duration
		want  bool
	}{
		{syscall.SIGTERM, 0, false},
		{syscall.SIGTERM, time.Millisecond, true},
		{syscall.SIGTERM, meantTwice - 1, true},
		{syscall.SIGINT, meantTwice - 1, false}, // somebody else's
		{syscall.SIGINT, meantTwice, true},
		{syscall.SIGINT, 3 * meantTwice, false},
		{syscall.SIGINT, 4 * meantTwice, false},
	} {
		require.Equal(t, c.want, r.Of(c.sig, t0.Add(c.after)), "%v after %v", c.sig, c.after)
	}
}
