package netem_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem"
)

func TestQueueKeepsTheOrderOfEqualMoments(t *testing.T) {
	var q netem.Queue[[2]int]
	d := netem.NewRandom(2, netem.Out, "queue")
	for i := range 5000 {
		at := int(d.Uint64() % 100)
		q.Push(time.Duration(at), [2]int{at, i})
		if i%3 == 0 {
			q.Pop()
		}
	}
	last := [2]int{-1}
	for q.Len() > 0 {
		at := q.Next()
		o := q.Pop()
		require.EqualValues(t, at, o[0])
		require.True(t, last[0] < o[0] || last[0] == o[0] && last[1] < o[1])
		last = o
	}
}
