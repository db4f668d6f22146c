package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressLearnsHowLongThingsTake(t *testing.T) {
	p := plan{parts: []part{{what: "idle", times: 1, each: 10 * time.Second}, {what: "step-down"}, {what: "kill", times: 4, each: 5 * time.Second}}}
	at := func(seconds float64) time.Time {
		return time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	p.advance("idle", at(0))
	require.Equal(t, Progress{"idle", 0, 30 * time.Second, 0}, p.at(at(0)))
	require.Equal(t, Progress{"idle", 0.2, 24 * time.Second, 0}, p.at(at(6)))
	require.Equal(t, Progress{"idle", 1. / 3, 20 * time.Second, 50 * time.Second}, p.at(at(60)))
	p.advance("kill", at(10))
	require.Equal(t, Progress{"kill 1 of 4", 1. / 3, 20 * time.Second, 0}, p.at(at(10)))
	p.advance("kill", at(12))
	require.Equal(t, Progress{"kill 2 of 4", 12. / 18, 6 * time.Second, 0}, p.at(at(12)), "each takes 2 s")
	p.advance("kill", at(14))
	p.advance("kill", at(16))
	require.Equal(t, Progress{"kill 4 of 4", 1, 0, 0}, p.at(at(18)))
}
