package quietlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALineIsWrittenOnceAMinutePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		q := Log{Out: slog.New(slog.NewTextHandler(&out, nil))}
		for range 3 {
			q.Warn("a", "of a")
			q.Warn("b", "of b")
		}
		require.Equal(t, 2, bytes.Count(out.Bytes(), []byte("\n")))
		time.Sleep(silence)
		q.Warn("a", "of a")
		require.Equal(t, 3, bytes.Count(out.Bytes(), []byte("\n")))
	})
}

func TestAFloodOfKeysIsBoundedAndPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Log
		for i := range 2 * maxKeys {
			require.Equal(t, i < maxKeys, q.Due(fmt.Sprint(i)), i)
		}
		require.Len(t, q.mu.last, maxKeys)
		time.Sleep(silence)
		require.True(t, q.Due("new"))
		require.Len(t, q.mu.last, 1)
		for i := range 2 * maxKeys {
			q.ThirdTime(fmt.Sprint(i), "x")
		}
		require.LessOrEqual(t, len(q.mu.sights), maxKeys)
	})
}

func TestAHostIsBelievedTheThirdTimeInARow(t *testing.T) {
	var q Log
	for _, seen := range []struct {
		what string
		want bool
	}{{"x", false}, {"x", false}, {"y", false}, {"x", false}, {"x", false}, {"x", true}, {"x", true}, {"y", false}} {
		require.Equal(t, seen.want, q.ThirdTime("host", seen.what), seen)
	}
}
