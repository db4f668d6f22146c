package deploy

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	ddgoose "duckduckgoose/agent"
	"duckduckgoose/agent/hooks"
)

// longestStop is how long a stop may take with the defaults, at the slowest
// profile: work, the hand-over or its failure, the hook that runs and a last one.
func longestStop() time.Duration {
	slow := ddgoose.Config{Profile: "wan"}.Default()
	return slow.Grace + 4*slow.Lease + 2*(hooks.DefaultTimeout+hooks.KillAfter)
}

func TestNobodyKillsAnAgentThatStillStops(t *testing.T) {
	var set statefulSet
	o := manifest(t)["StatefulSet/ddgoose"]
	strictly(t, &o.Spec, &set)
	times := map[string]time.Duration{
		"kubernetes.yaml": time.Duration(set.Template.Spec.TerminationGracePeriodSeconds) * time.Second,
		"ddgoose.service": seconds(t, regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(read(t, "ddgoose.service"))),
	}
	c := compositionOf(t)
	for _, name := range c.agents() {
		d, err := time.ParseDuration(c.Services[name].StopGracePeriod)
		require.NoError(t, err)
		times["compose.yaml, "+name] = d
	}
	for where, d := range times {
		require.Greater(t, d, longestStop()+5*time.Second, "%s: a busy machine needs a little more", where)
		require.LessOrEqual(t, d, 2*longestStop(), "%s: one that hangs must not hold a shutdown up", where)
	}
}

func seconds(t *testing.T, match []string) time.Duration {
	t.Helper()
	require.Len(t, match, 2)
	d, err := time.ParseDuration(match[1] + "s")
	require.NoError(t, err)
	return d
}
