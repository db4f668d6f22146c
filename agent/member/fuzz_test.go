package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/memtest"
	"duckduckgoose/wire"
)

// FuzzDatagrams: no datagram of a key holder makes an agent break the order of effects
// or use memory, and the flock has a goose again (P7), unless the datagram invents a
// config: its voters may not exist.
func FuzzDatagrams(f *testing.F) {
	seedDatagrams(f)
	memory := memtest.New()
	var frame wire.Frame
	f.Fuzz(func(t *testing.T, body []byte, who, how uint8) {
		if wire.DecodeFrame(body, &frame) != nil {
			return
		}
		memory.Input(t, func() {
			flock := flockOf(t, 3)
			flock.forged = true
			to, from := flock.agents[who%3], flock.agents[(who+1+how%2)%3]
			frame.To = to.me
			if how&2 == 0 { // as the next datagram of a voter
				frame.From, frame.Start, frame.Life, frame.Seq = from.me, from.saved.Start, from.set.Life, 1<<32
			}
			if how&4 == 0 {
				frame.FlockID, frame.ToLife = to.FlockID(), to.set.Life
			}
			invented := false
			for i := range frame.Messages {
				m := &frame.Messages[i]
				invented = invented || m.Config.N > 0 && (m.Generation.Number > 0 || m.Config.Compare(to.config("").ConfigID) > 0)
				m.FlockID, m.From, m.To = frame.FlockID, frame.From, frame.To
				m.Start, m.Life, m.Seq, m.ToLife = frame.Start, frame.Life, frame.Seq, frame.ToLife
			}
			_, err := to.Receive(flock.now, &frame, from.addr())
			require.NoError(t, err)
			to.fed = true
			flock.run(time.Second)
			flock.until(3*time.Minute, "a goose", func() bool { return invented || flock.leader("") != nil })
		})
	})
}

// seedDatagrams adds what the agents of a flock send through two elections, and
// one message of each kind that shows a newer config.
func seedDatagrams(f *testing.F) {
	flock := flockOf(f, 3)
	known := map[[2]int]bool{}
	flock.sent = func(body []byte) {
		var frame wire.Frame
		require.NoError(f, wire.DecodeFrame(body, &frame))
		kind := [2]int{len(frame.Messages)}
		if len(frame.Messages) > 0 {
			kind[1] = int(frame.Messages[0].Kind)
		}
		if !known[kind] {
			known[kind] = true
			f.Add(body, uint8(len(known)), uint8(0))
		}
	}
	flock.stepDown("", nil)
	flock.goose("").crash()
	flock.goose("")
	require.Greater(f, len(known), 5)

	flock = flockOf(f, 3)
	a, b := flock.agents[0], flock.agents[1]
	for kind := election.PreVoteRequest; kind <= election.Announce; kind++ {
		newer := b.config("").With(election.Voter{ID: election.ID{7}, Priority: 1})
		newer.Version++
		m := election.Message{Kind: kind, Header: b.Default().header(a.me)}
		m.Term++
		m.ConfigID = newer.ConfigID
		switch kind {
		case election.PreVoteRequest:
			m.NextTerm, m.Nonce = m.Term+1, 1
		case election.PreVoteReply:
			m.Nonce, m.Reason, m.Config = 1, election.OldConfig, newer
		case election.VoteReply:
			m.Reason, m.Config = election.OldConfig, newer
		case election.Heartbeat:
			m.Round, m.Promise, m.Config = 1<<32, time.Second, newer
		case election.HeartbeatAck:
			m.Round, m.Promise = 1<<32, time.Second
		case election.Reject:
			m.Config = newer
		case election.LeaveReply:
			m.Granted = true
		case election.Announce:
			m.Goose, m.GooseTerm, m.Round, m.Promise, m.Config = b.me, m.Term, 1<<32, time.Second, newer
		}
		body, err := wire.AppendFrame(nil, frameFrom(b, a.me, wire.Message{Message: m}))
		require.NoError(f, err)
		for how := range uint8(6) {
			f.Add(body, how, how)
		}
	}
}
