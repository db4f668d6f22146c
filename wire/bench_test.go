package wire

import (
	"runtime"
	"testing"
	"time"

	"duckduckgoose/agent/election"

	"github.com/stretchr/testify/require"
)

// usual returns the frames that a flock at rest sends all day.
func usual() map[string]*Frame {
	all := map[string]*Frame{}
	for _, g := range goldenFrames() {
		if g.name == "heartbeat" || g.name == "heartbeat-to-life" || g.name == "heartbeat-ack" {
			all[g.name] = g.frame
		}
	}
	return all
}

// steps are the four acts on the heartbeat's path, each reusing what it needs.
func steps(t testing.TB, ring *Keyring, f *Frame) map[string]func() {
	var in Frame
	body := make([]byte, 0, MaxDatagram)
	datagram, opened := make([]byte, 0, MaxDatagram), make([]byte, 0, MaxDatagram)
	var err error
	check := func() {
		if err != nil {
			t.Fatal(err)
		}
	}
	encode := func() { body, err = AppendFrame(body[:0], f); check() }
	seal := func() { datagram, err = ring.Seal(datagram[:0], body); check() }
	open := func() { opened, err = ring.Open(opened[:0], datagram); check() }
	decode := func() { err = DecodeFrame(opened, &in); check() }
	encode()
	seal()
	open()
	decode()
	requireSame(t, f, &in)
	return map[string]func(){"encode": encode, "seal": seal, "open": open, "decode": decode}
}

func TestHeartbeatsAndAcksAllocateNothing(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool forgets at random")
	}
	for ringName, ring := range map[string]*Keyring{"plain": keyring(t, "default"), "sealed": keyring(t, "default", 1, 2)} {
		for frameName, f := range usual() {
			for act, do := range steps(t, ring, f) {
				limit := 0.0
				if runtime.GOARCH != "amd64" && ringName == "sealed" && (act == "seal" || act == "open") {
					limit = 1 // the cipher's portable code
				}
				require.LessOrEqual(t, testing.AllocsPerRun(1000, do), limit, "%s %s %s", act, ringName, frameName)
			}
		}
	}
}

func TestHeartbeatIsSmall(t *testing.T) {
	ring := keyring(t, "default", 1)
	for name, f := range usual() {
		require.LessOrEqual(t, len(seal(t, ring, encode(t, f))), 160, name)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	f := usual()["heartbeat"]
	for _, bench := range []struct {
		name, act string
		ring      *Keyring
	}{
		{"encode", "encode", keyring(b, "default", 1)},
		{"seal", "seal", keyring(b, "default", 1)},
		{"open", "open", keyring(b, "default", 1)},
		{"decode", "decode", keyring(b, "default", 1)},
		{"checksum", "seal", keyring(b, "default")},
		{"verify", "open", keyring(b, "default")},
	} {
		do := steps(b, bench.ring, f)[bench.act]
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

func BenchmarkDecodeConfigOfSeven(b *testing.B) {
	g := newGenerator(40)
	f := &Frame{From: fromID, To: toID, Seq: 1}
	m := Message{Message: election.Message{Kind: election.Heartbeat, Promise: time.Second}}
	for m.Config.N < election.MaxVoters {
		m.Config = m.Config.With(election.Voter{ID: g.id(), Priority: 100})
	}
	f.stamp(&m)
	f.Messages = []Message{m}
	do := steps(b, keyring(b, "default", 1), f)["decode"]
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}
