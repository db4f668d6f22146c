package soak

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/netem/check"
)

func TestWhatWritersTellOfMarksIsJudged(t *testing.T) {
	for text, broken := range map[string]int{
		`{"kind":"began","at":3,"token":2,"mark":5}`: 0,
		`{"kind":"began","at":3,"token":2,"mark":4}`: 1,
	} {
		ws := &writers{seq: newSequence(0), flockID: func() string { return "f" }}
		for token := range uint64(2) {
			ws.seq.push(check.Event{Kind: check.Led, Agent: string(rune('a' + token)), Flock: "f", Token: token + 1})
		}
		ws.hear(&writer{}, strings.NewReader(`{"kind":"began","at":1,"token":1}`+"\n"+`{"kind":"raised","at":2,"token":1,"mark":5}`+"\n"+text))
		ws.seq.finish(time.Second)
		found := ws.seq.found()
		require.Len(t, found, broken, text)
		if broken > 0 {
			require.Equal(t, "P9", found[0].Promise)
		}
	}
}
