package netem

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of testdata; read the diff")

// golden runs a file of commands ("> command"), each followed by the lines it
// must print. Comments and empty lines stay as they are.
func golden(t *testing.T, path string, run func(command string) string) {
	t.Helper()
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	var got strings.Builder
	for _, line := range strings.SplitAfter(string(want), "\n") {
		command, isCommand := strings.CutPrefix(strings.TrimSuffix(line, "\n"), ">")
		if isCommand {
			got.WriteString(line)
			for out := range strings.Lines(run(strings.TrimPrefix(command, " "))) {
				got.WriteString("  " + strings.TrimSuffix(out, "\n") + "\n")
			}
		} else if strings.HasPrefix(line, "#") || line == "\n" {
			got.WriteString(line)
		}
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
		return
	}
	require.Equal(t, string(want), got.String())
}
