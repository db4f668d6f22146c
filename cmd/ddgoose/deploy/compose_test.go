package deploy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// composition is what compose.yaml has of Compose's format.
type composition struct {
	Name     string
	Agent    yaml.Node `yaml:"x-agent"`
	Services map[string]composed
	Networks map[string]struct{}
	Volumes  map[string]struct{}
}

type composed struct {
	Image           string
	Command         []string
	Environment     map[string]string
	Restart         string
	StopGracePeriod string `yaml:"stop_grace_period"`
	Networks        []string
	NetworkMode     string `yaml:"network_mode"`
	ReadOnly        bool   `yaml:"read_only"`
	Tmpfs           []string
	Volumes         []string
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	Profiles        []string
}

const imageByDefault = "${DDGOOSE_IMAGE:-ddgoose:latest}"

func compositionOf(t *testing.T) (c composition) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, "compose.yaml")))
	d.KnownFields(true)
	require.NoError(t, d.Decode(&c))
	return c
}

// agents names the services that are agents.
func (c composition) agents() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Services)), func(name string) bool { return name == "keygen" })
}

func TestComposedAgentsFindEachOtherByName(t *testing.T) {
	c := compositionOf(t)
	agents := c.agents()
	require.Len(t, agents, 5)
	image := imageOf(t)
	keygen := c.Services["keygen"]
	require.Equal(t, []string{"setup"}, keygen.Profiles, "the key is made once, and not at every start")
	key := strings.TrimPrefix(keygen.Command[1], "--out=")
	for _, name := range agents {
		s := c.Services[name]
		require.Equal(t, imageByDefault, s.Image)
		require.Equal(t, name, s.Environment["DDGOOSE_NAME"])
		require.Equal(t, strings.Join(agents, ","), flagOf(s.Command, "join"))
		require.Equal(t, strconv.Itoa(len(agents)), flagOf(s.Command, "expect"))
		require.Equal(t, key, flagOf(s.Command, "key-file"))
		require.Contains(t, s.Volumes, name+":"+image.env["DDGOOSE_DATA_DIR"], "a disk of its own")
		require.Contains(t, c.Volumes, name)
		require.Equal(t, []string{"flock"}, s.Networks)
		t.Setenv("DDGOOSE_NAME", name)
		requireRight(t, s.Command)
	}
	require.Contains(t, c.Networks, "flock")
}
