package top

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrailHasTheLongestOfEachSecond(t *testing.T) {
	var tr sparkline
	require.False(t, tr.measured())
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	tr.add(at(0), 5*time.Millisecond)
	tr.add(at(0.5), 200*time.Millisecond)
	tr.add(at(0.7), unmeasured)
	tr.add(at(1), 50*time.Microsecond)
	tr.add(at(4), unmeasured)
	tr.add(at(5), 99*time.Microsecond)
	tr.add(at(6), 100*time.Microsecond)
	require.Equal(t, "    81  .12", tr.draw(at(6), 60, &asciiGlyphs)[49:])
	require.Equal(t, " 812", tr.draw(at(6), 20, &asciiGlyphs)[16:], "three seconds each")
	require.Equal(t, " 812", tr.draw(at(8.9), 20, &asciiGlyphs)[16:], "it stands still")
	require.Equal(t, "812 ", tr.draw(at(9), 20, &asciiGlyphs)[16:])
	tr.add(at(65), time.Second)
	require.Equal(t, "2"+strings.Repeat(" ", 58)+"8", tr.draw(at(65), 60, &asciiGlyphs), "a minute later")
	tr.add(at(1000), unmeasured)
	require.False(t, tr.measured(), "it forgets")
}

func TestTrailsAreOfThePicturesAgents(t *testing.T) {
	d := time.Millisecond
	p := Picture{At: noon, From: "a", Agents: []Agent{{Name: "a"}, {Name: "b", RTT: &d}, {Name: "c"}}}
	all := roundTrips{}.add(&p)
	draw := func(name string) string {
		tr := all[name]
		return tr.draw(noon, 60, &asciiGlyphs)[58:]
	}
	require.Equal(t, "  ", draw("a"), "who measures has no path to itself")
	require.Equal(t, " 4", draw("b"))
	require.Equal(t, " .", draw("c"))
	require.Len(t, all.add(&Picture{At: noon}), 0)
	require.Len(t, all, 3, "a paused screen has them still")
}
