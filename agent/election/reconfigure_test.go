package election

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A change whose new members do not answer with a majority would end the flock:
// it is dropped, and the goose stays the goose meanwhile (rule 5).
func TestChangeThatLeavesNoMajorityIsNotMade(t *testing.T) {
	for _, tt := range []struct {
		name   string
		voters []string
		dies   string
		change Change
	}{
		{"removal", []string{"a", "b", "c"}, "c", Change{Voter: Voter{ID: idOf("b")}, Remove: true}},
		{"addition to one", []string{"a"}, "d", Change{Voter: Voter{idOf("d"), 100}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, tt.voters...)
			c.add("d", Record{FlockID: testFlock, PromiseMax: 500 * time.Millisecond}, true)
			c.until(time.Second, "a as goose", func() bool { return c.goose() != "" })
			g := c.goose()
			if g != "a" {
				require.NoError(t, c.step(g, StepDown{To: idOf("a")}))
				c.until(time.Second, "a as goose", func() bool { return c.goose() == "a" })
			}
			require.NoError(t, c.step("a", Observe{ID: idOf("d")}))
			c.run(2 * time.Second)
			before := c.nodes["a"].node.rec.Config
			c.kill(tt.dies)
			c.run(20 * time.Millisecond) // nobody has noticed
			require.NoError(t, c.step("a", tt.change))
			for end := c.now + 5*time.Second; c.next(end); {
				require.Equal(t, "a", c.goose(), "at %v\n%s", c.now-time.Hour, c)
			}
			require.Equal(t, before, c.nodes["a"].node.rec.Config)
		})
	}
}
