package deploy

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// image is what the Dockerfile says of the agents in it.
type image struct {
	user   int
	env    map[string]string
	health []string // the command of its health check
	text   string
}

func imageOf(t *testing.T) (i image) {
	t.Helper()
	i.text, i.env = strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " "), map[string]string{}
	one := func(pattern string) string {
		found := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(i.text)
		require.NotNil(t, found, pattern)
		return found[1]
	}
	var err error
	i.user, err = strconv.Atoi(one(`^USER (\d+):\d+$`))
	require.NoError(t, err)
	for _, kv := range strings.Fields(one(`^ENV (.*)$`)) {
		k, v, _ := strings.Cut(kv, "=")
		i.env[k] = v
	}
	for _, quoted := range strings.Split(one(`^HEALTHCHECK .* CMD \[(.*)\]$`), ", ") {
		word, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		i.health = append(i.health, word)
	}
	return i
}

func TestImageIsTheBinaryForAUserThatIsNotRoot(t *testing.T) {
	i := imageOf(t)
	require.Positive(t, i.user)
	require.Contains(t, i.text, "\nFROM scratch\n")
	require.Equal(t, 1, strings.Count(i.text, "\nFROM "))
	for _, dir := range []string{i.env["DDGOOSE_DATA_DIR"], path.Dir(i.env["DDGOOSE_SOCKET"])} {
		require.Contains(t, i.text, " empty "+dir+"\n", "owned by the user")
	}
	for _, port := range []string{"3825/udp", "3825/tcp", "3826/tcp"} {
		require.Regexp(t, `(?m)^EXPOSE .*\b`+port, i.text)
	}
}

func TestImageIsHealthyByACommandOfOurs(t *testing.T) {
	i := imageOf(t)
	require.Equal(t, "/usr/bin/ddgoose", i.health[0])
	socket := shortDir(t) + "/none.sock"
	t.Setenv("DDGOOSE_SOCKET", socket)
	_, stderr, code := run(t, binary(t), i.health[1:]...)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "no agent answers at "+socket, "it understands the rest, and finds nobody")
}
