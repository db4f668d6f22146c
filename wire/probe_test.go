package wire

import (
	"math"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

func TestProbesComeBackWhole(t *testing.T) {
	g := newGenerator(31)
	var got Frame
	for range 1000 {
		f := g.header()
		f.Probe = g.probe()
		require.NoError(t, DecodeFrame(encode(t, f), &got))
		requireSame(t, f, &got)
	}
}

// The shortest question that is taken is no shorter than the longest answer to it.
func TestNoAnswerIsLargerThanItsQuestion(t *testing.T) {
	for _, session := range []uint64{0, 1 << 63} {
		for _, number := range []uint8{0, MaxProbes - 1} {
			question := &Frame{From: fromID, To: toID, Probe: Probe{Word: ProbeQuestion, Session: session, Number: number, Padding: MinProbePadding}}
			answer := &Frame{From: toID, To: fromID, Start: math.MaxUint64, Life: math.MaxUint64, Seq: math.MaxUint64, Probe: Probe{
				Word: ProbeAnswer, Session: session, Number: number, Heard: math.MaxUint64, At: math.MaxInt64,
			}}
			require.GreaterOrEqual(t, len(encode(t, question)), len(encode(t, answer)))
		}
	}
}

func TestLargestProbeIsAWholeDatagram(t *testing.T) {
	f := &Frame{FlockID: flockID, From: fromID, To: toID, Start: 1, Life: math.MaxUint64, Seq: 900}
	f.Probe = Probe{Word: ProbeQuestion, Session: math.MaxUint64, Padding: MinProbePadding}
	f.Probe.Padding += MaxBody - len(encode(t, f)) - 1 // a length of two bytes
	datagram, err := keyring(t, "default", 1).Seal(nil, encode(t, f))
	require.NoError(t, err)
	require.Len(t, datagram, MaxDatagram)
}

func TestALaterProbeIsUnderstood(t *testing.T) {
	probe := func(word uint64) []any {
		return []any{uint64(0), uint64(probeKind), word, uint64(9), uint64(3), uint64(8), uint64(time.Second), make([]byte, 5), "added", 3.5}
	}
	resign := []any{uint64(0), uint64(election.Resign), uint64(0), uint64(0), uint64(8), uint64(6), uint64(2)}
	body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{
		probe(7), probe(uint64(ProbeAnswer)), resign, probe(uint64(ProbeAnswer)),
	}, nil)
	var got Frame
	require.NoError(t, DecodeFrame(body, &got))
	require.Equal(t, Probe{Word: ProbeAnswer, Session: 9, Number: 3, Heard: 8, At: time.Second, Padding: 5}, got.Probe)
	require.Len(t, got.Messages, 1)
	require.Equal(t, 2, got.Skipped, "a word of tomorrow, and a second probe")

	require.NoError(t, DecodeFrame(encode(t, &Frame{From: fromID}), &got))
	require.Zero(t, got.Probe, "nothing of the last frame may stay")

	for n := 2; n < 2+probeFields; n++ {
		body := pack(t, flockID[:], fromID[:], toID[:], uint64(3), uint64(4), uint64(5), []any{probe(uint64(ProbeAnswer))[:n]}, nil)
		requireDrop(t, DecodeFrame(body, &got), DropMalformed)
	}
}
