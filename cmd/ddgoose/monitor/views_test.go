package monitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

func TestPathsAreReadFromMetrics(t *testing.T) {
	v := View{RTT: map[string]time.Duration{"x": time.Second}, Loss: map[string]float64{}}
	v.measure([]byte(`# HELP ddgoose_term the term
# TYPE ddgoose_term gauge
ddgoose_term 7
# HELP ddgoose_peer_loss_ratio share of lost heartbeats
# TYPE ddgoose_peer_loss_ratio gauge
ddgoose_peer_loss_ratio{id="x",peer="b"} 0.25
# HELP ddgoose_peer_rtt_seconds round trip
# TYPE ddgoose_peer_rtt_seconds gauge
ddgoose_peer_rtt_seconds{id="x",peer="b"} 0.0005
ddgoose_peer_rtt_seconds{id="y",peer="a \"name\""} 1e-3
ddgoose_peer_rtt_seconds{peer="without an id"} 1
`))
	require.Equal(t, map[string]time.Duration{"x": 500 * time.Microsecond, "y": time.Millisecond}, v.RTT)
	require.Equal(t, map[string]float64{"x": 0.25}, v.Loss)
	v.measure([]byte("ddgoose_peer_rtt_seconds{ 1\n"))
	require.Len(t, v.RTT, 2, "what cannot be read changes nothing")
}

func TestPromisesAndWaits(t *testing.T) {
	left, waits := 463.0, 1500.0
	v := View{Promises: map[string]Promise{}}
	v.promises(&api.Why{Voters: []api.WhyVoter{
		{ID: "x", Promised: &left, PromisedTo: "a"}, {ID: "y", Restarted: &waits}, {ID: "z"},
	}})
	require.Equal(t, map[string]Promise{
		"x": {To: "a", Left: 463 * time.Millisecond}, "y": {Waits: 1500 * time.Millisecond},
	}, v.Promises)
}
