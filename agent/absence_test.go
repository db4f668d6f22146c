package agent

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// Every goose reports how long voters have been absent. Without that, a dead voter
// stayed one while the goose changed every 20 s.
func TestADeadVoterIsReplacedThoughTheGooseKeepsChanging(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(5)
		f.start("f", joining("10.0.0.1"))
		f.allAlive()
		f.sleep(15 * time.Second)
		var voters []string // that have not led
		for _, name := range f.ducks() {
			if f.voter(name) {
				voters = append(voters, name)
			}
		}
		dead := voters[0]
		id := f.agents[dead].Status().ID
		f.crash(dead)
		votes := func() bool {
			return slices.ContainsFunc(f.agents[f.goose()].Status().Config.Voters, func(v api.Voter) bool { return v.ID == id })
		}
		for _, next := range voters[1:3] {
			f.sleep(15 * time.Second)
			require.True(t, votes(), "%s is gone for less than 30 s\n%s", dead, f)
			old := f.goose()
			require.NoError(t, f.await(func() error { return f.agents[old].StepDown(context.Background(), next) }))
			f.until(5*time.Second, next+" is the goose", func() bool { return f.goose() == next })
		}
		f.until(5*time.Second, dead+" is replaced", func() bool { return f.goose() != "" && !votes() })
	})
}
