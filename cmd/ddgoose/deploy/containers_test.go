package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// containers are the services of compose.yaml, run by docker itself: Compose
// may not be there, and says no more than this.
type containers struct {
	engine
	agents []string
}

// startContainers builds the image, and brings all of compose.yaml up on a
// network without a way out.
func startContainers(t *testing.T) *containers {
	t.Helper()
	composition := compositionOf(t)
	c := &containers{engine: engineHere(t), agents: composition.agents()}
	image := c.prefix + "image"
	c.atTheEnd("image", "rm", "--force", image)
	c.build(image)

	c.atTheEnd(append([]string{"volume", "rm", "--force"}, c.named(slices.Sorted(maps.Keys(composition.Volumes))...)...)...)
	for name := range composition.Volumes {
		c.do("volume", "create", c.prefix+name)
	}
	c.atTheEnd(append([]string{"network", "rm"}, c.named(slices.Sorted(maps.Keys(composition.Networks))...)...)...)
	for name := range composition.Networks {
		c.do("network", "create", "--internal", c.prefix+name)
	}
	all := slices.Sorted(maps.Keys(composition.Services))
	c.atTheEnd(append([]string{"rm", "--force", "--volumes"}, c.named(all...)...)...)
	c.do(c.runArgs("keygen", composition.Services["keygen"], image)...)
	for _, name := range c.agents {
		c.do(c.runArgs(name, composition.Services[name], image)...)
	}
	return c
}

// runArgs are a service's arguments of docker: one of a profile runs to its end.
func (c *containers) runArgs(name string, s composed, image string) []string {
	args := []string{"run", "--name", c.prefix + name}
	if s.Profiles == nil {
		args = append(args, "--detach")
	}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.Environment)) {
		add("--env", k+"="+s.Environment[k])
	}
	add("--restart", s.Restart)
	if s.StopGracePeriod != "" {
		d, err := time.ParseDuration(s.StopGracePeriod)
		require.NoError(c.t, err)
		add("--stop-timeout", strconv.Itoa(int(d.Seconds())))
	}
	add("--network", s.NetworkMode)
	for _, n := range s.Networks {
		add("--network", c.prefix+n)
		add("--network-alias", name)
	}
	for _, v := range s.Volumes {
		add("--volume", c.prefix+v)
	}
	for _, m := range s.Tmpfs {
		add("--tmpfs", m)
	}
	for _, p := range s.CapDrop {
		add("--cap-drop", p)
	}
	for _, o := range s.SecurityOpt {
		add("--security-opt", o)
	}
	if s.ReadOnly {
		args = append(args, "--read-only")
	}
	return append(append(args, image), s.Command...)
}

// build makes the image as make image does, elsewhere.
func (c *containers) build(image string) {
	c.t.Helper()
	cmd := exec.Command("make", "--no-print-directory", "image", "IMAGE="+image, "DIST="+filepath.Join(shortDir(c.t), "dist"))
	cmd.Dir = "../../.."
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}

// status asks an agent inside its container.
func (c *containers) status(name string) (s api.Status, answers bool) {
	c.t.Helper()
	stdout, _, code := run(c.t, c.docker, "exec", c.prefix+name, "ddgoose", "status", "--json", "--timeout", "10s")
	return s, code == 0 && json.Unmarshal([]byte(stdout), &s) == nil
}

// goose waits until all of these name one goose with a token above, and gives both.
func (c *containers) goose(above uint64, names ...string) (goose string, token uint64) {
	c.t.Helper()
	var last []string
	apitest.Eventually(c.t, func() bool {
		tokens := map[uint64]bool{}
		last = nil
		for _, name := range names {
			s, ok := c.status(name)
			last = append(last, fmt.Sprintf("%s: answers %v, %s, term %d, token %d, %d voters", name, ok, s.Role, s.Term, s.Token, len(s.Config.Voters)))
			if !ok || s.Goose == nil || s.Token <= above {
				return false
			}
			tokens[s.Token], goose, token = true, s.Goose.Name, s.Token
		}
		return len(tokens) == 1
	}, "one goose above token %d for %v: %q", above, names, &last)
	return goose, token
}

// whole waits until all vote and name one goose.
func (c *containers) whole(above uint64) (goose string, token uint64) {
	c.t.Helper()
	var last []string
	apitest.Eventually(c.t, func() bool {
		last = nil
		for _, name := range c.agents {
			s, ok := c.status(name)
			last = append(last, fmt.Sprintf("%s: answers %v, %d alive, %d voters, voter %v", name, ok, s.Alive, len(s.Config.Voters), s.Voter))
			if !ok || s.Alive != len(c.agents) || len(s.Config.Voters) != len(c.agents) || !s.Voter {
				return false
			}
		}
		return true
	}, "all vote: %q", &last)
	return c.goose(above, c.agents...)
}

func (c *containers) without(name string) []string {
	return slices.DeleteFunc(slices.Clone(c.agents), func(n string) bool { return n == name })
}

// code is the exit code of one of our commands inside a container.
func (c *containers) code(name string, command ...string) int {
	c.t.Helper()
	_, _, code := run(c.t, c.docker, append([]string{"exec", c.prefix + name, "ddgoose"}, command...)...)
	return code
}

// logs shows what the agents said, when the test has failed.
func (c *containers) logs() {
	if !c.t.Failed() {
		return
	}
	for _, name := range c.agents {
		out, _ := exec.Command(c.docker, "logs", "--tail", "30", c.prefix+name).CombinedOutput() // what there is
		c.t.Logf("%s:\n%s", name, out)
	}
}

// TestFiveContainersFollowTheGoose kills, pauses, stops and cuts off the goose.
func TestFiveContainersFollowTheGoose(t *testing.T) {
	extra(t)
	c := startContainers(t)
	t.Cleanup(c.logs)
	goose, token := c.whole(0)
	ids := map[string]string{}
	for _, name := range c.agents {
		s, ok := c.status(name)
		require.True(t, ok)
		ids[name] = s.ID
	}
	step := func(how string, began time.Time) {
		t.Logf("%-22s %s is the goose, token %d, known to the others after %v", how, goose, token, time.Since(began).Round(10*time.Millisecond))
	}
	t.Logf("%-22s %s is the goose, token %d", "five containers:", goose, token)
	require.Zero(t, c.code(goose, "probe", "goose"))

	for name, health := range c.health() {
		require.Equal(t, "healthy", health, name)
	}
	require.Equal(t, "65532:65532", c.do("inspect", "--format", "{{.Config.User}}", c.prefix+goose))

	began, was := time.Now(), goose
	c.do("kill", "--signal", "KILL", c.prefix+was)
	goose, token = c.goose(token, c.without(was)...)
	step(was+" killed:", began)
	c.do("start", c.prefix+was)
	goose, token = c.whole(token - 1)

	began, was = time.Now(), goose
	old, paused := token, c.prefix+was
	t.Cleanup(func() { _ = exec.Command(c.docker, "unpause", paused).Run() }) // a paused one cannot be removed
	c.do("pause", c.prefix+was)
	goose, token = c.goose(token, c.without(was)...)
	step(was+" paused:", began)
	c.do("unpause", c.prefix+was)
	s, ok := c.status(was)
	require.True(t, ok)
	require.False(t, s.Role == api.RoleGoose && s.Token == old, "what it wakes up with is over")
	goose, token = c.whole(token - 1)

	began, was = time.Now(), goose
	c.do("network", "disconnect", c.prefix+"flock", c.prefix+was)
	goose, token = c.goose(token, c.without(was)...)
	step(was+" cut off:", began)
	require.Equal(t, 1, c.code(was, "is-goose", "--timeout", "10s"), "it has no majority")
	require.Equal(t, 1, c.code(was, "probe", "readyz", "--timeout", "10s"))
	require.Zero(t, c.code(was, "probe", "healthz", "--timeout", "10s"), "it need not be started anew for that")
	c.do("network", "connect", "--alias", was, c.prefix+"flock", c.prefix+was)
	goose, token = c.whole(token - 1)

	began, was = time.Now(), goose
	c.do("stop", c.prefix+was)
	require.Equal(t, "0", c.do("inspect", "--format", "{{.State.ExitCode}}", c.prefix+was), "stopped by itself, in time")
	goose, token = c.goose(token, c.without(was)...)
	step(was+" stopped:", began)
	c.do("start", c.prefix+was)
	c.whole(token - 1)
	for _, name := range c.agents {
		s, ok := c.status(name)
		require.True(t, ok)
		require.Equal(t, ids[name], s.ID, "%s kept its disk", name)
	}
}

// health waits until every agent's own check has been made, and gives what came of it.
func (c *containers) health() map[string]string {
	c.t.Helper()
	all := map[string]string{}
	apitest.Eventually(c.t, func() bool {
		for _, name := range c.agents {
			if all[name] = c.do("inspect", "--format", "{{.State.Health.Status}}", c.prefix+name); all[name] == "starting" {
				return false
			}
		}
		return true
	}, "checked: %v", &all)
	return all
}
