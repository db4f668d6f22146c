//go:build linux

package run

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// pair gives run's end of a link, and the guard's.
func pair(t *testing.T) (runs, guards *link) {
	t.Helper()
	runs, theirs, err := newPair()
	require.NoError(t, err)
	t.Cleanup(runs.close)
	guards, err = newLink(theirs)
	require.NoError(t, err)
	t.Cleanup(guards.close)
	return runs, guards
}

// TestSignsOfLifeTakeNoRoomOfMessages: a run that is stopped reads nothing while a guard kills
// a thousand processes, and must still find out what the guard said then.
func TestSignsOfLifeTakeNoRoomOfMessages(t *testing.T) {
	runs, guards := pair(t)
	for range 10_000 {
		guards.beat(report{Killing: true})
	}
	working := false
	guards.say(report{Working: &working})
	guards.say(report{Deadline: &deadline{Token: 7}})
	guards.close()
	var heard []report
	for {
		var m report
		if runs.hear(&m) != nil {
			break
		}
		heard = append(heard, m)
	}
	require.Len(t, heard, 3)
	require.Equal(t, report{Killing: true}, heard[0])
	require.Equal(t, report{Working: &working}, heard[1])
	require.Equal(t, report{Deadline: &deadline{Token: 7}}, heard[2])
}
