package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/client"
)

func TestTheRemedyOfFaultRulesIsTheOneOfWhoSetThem(t *testing.T) {
	alone, local := t.TempDir(), t.TempDir()
	spaced := filepath.Join(local, "a flock")
	require.NoError(t, os.Mkdir(spaced, 0o700))
	for _, dir := range []string{local, spaced} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, client.DriverSocket), nil, 0o600))
	}
	heal, replace := "ddgoose flock heal --dir "+local, "ddgoose flock netem '' --dir "+local
	for _, c := range []struct{ socket, rules, remedy string }{
		{NoSocket, "b: cut", "ddgoose netem clear"},
		{filepath.Join(alone, "a.sock"), "b: cut", "ddgoose netem clear"},
		{filepath.Join(local, "a.sock"), "127.0.0.1:1,127.0.0.1:2: cut", heal},
		{filepath.Join(local, "a.sock"), "out 127.0.0.1:1: cut; in 127.0.0.1:2: cut", heal},
		{filepath.Join(local, "a.sock"), "*: loss 10%", replace},
		{filepath.Join(local, "a.sock"), "*: cut", replace},
		{filepath.Join(local, "a.sock"), "127.0.0.1:1: cut; *: loss 10%", heal + "; " + replace},
		{filepath.Join(spaced, "a.sock"), "b: cut", "ddgoose flock heal --dir '" + spaced + "'"},
	} {
		a := &Agent{cfg: Config{Socket: c.socket}}
		require.Equal(t, c.remedy, a.endsNetem(c.rules), "%s: %s", c.socket, c.rules)
	}
}
