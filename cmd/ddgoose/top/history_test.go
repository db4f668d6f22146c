package top

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBar(t *testing.T) {
	var h history
	at := func(s float64, goose string, token uint64) {
		h.add(noon.Add(time.Duration(s*float64(time.Second))), Goose{Name: goose, Token: token})
	}
	bar := func(width int) string {
		l := h.bar(width, &asciiGlyphs)
		return l.text()
	}
	require.Empty(t, bar(0))
	at(0, "", 0)
	at(1.5, "a", 1)
	at(20, "", 0)
	at(20.4, "b", 2)
	at(30, "c", 3)
	at(40, "c", 3)
	// A column is a second; the last one has just begun.
	require.Equal(t, "                   .xa=================xb========c==========", bar(60))
	at(40.9, "c", 3)
	require.Equal(t, "                   .xa=================xb========c==========", bar(60), "it stands still within a second")
	at(59, "c", 3)
	require.Equal(t, "xa=================xb========c=============================", bar(60)[1:])
	require.Equal(t, "|12:00:00 |12:00:10 |12:00:20 |12:00:30 |12:00:40 |12:00:50 ", h.axis(60)+" ")
	at(61, "c", 3)
	require.Equal(t, 5*time.Minute, h.reach())
	require.Equal(t, "                                                xa==xbc=======", bar(62))
	at(26*3600, "c", 3)
	require.Equal(t, "c=========", bar(10), "what began before the bar does")
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	for i := range uint64(3 * periodsKept) {
		h.add(noon.Add(time.Duration(i)*time.Second), Goose{Name: "a", Token: i + 1})
	}
	require.Len(t, h.periods, periodsKept)
	require.NotEqual(t, h.periods[0].odd, h.periods[1].odd)
}
