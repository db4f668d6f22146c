package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// makeOurs runs our Makefile, with what it makes in a folder of the test's.
func makeOurs(t *testing.T, target, dist string, settings ...string) {
	t.Helper()
	tool(t, "make", "apt-get install make")
	args := append([]string{"--no-print-directory", target, "VERSION=v1.2.3", "SOURCE_DATE_EPOCH=1700000000",
		"DIST=" + dist, "BIN=" + filepath.Join(dist, "bin", "ddgoose")}, settings...)
	cmd := exec.Command("make", args...)
	cmd.Dir = "../../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestInstallPutsEverythingInItsPlace(t *testing.T) {
	extra(t)
	dest := t.TempDir()
	makeOurs(t, "install", t.TempDir(), "DESTDIR="+dest, "PREFIX=/opt/ddg")
	for file, holds := range map[string]string{
		"share/man/man1/ddgoose-agent.1":               "ddgoose v1.2.3",
		"share/bash-completion/completions/ddgoose":    "bash completion",
		"share/zsh/site-functions/_ddgoose":            "#compdef ddgoose",
		"share/fish/vendor_completions.d/ddgoose.fish": "fish completion",
		"share/doc/ddgoose/ddgoose.yaml":               "key-file:",
		"lib/sysusers.d/ddgoose.conf":                  "u ddgoose ",
		"lib/systemd/system/ddgoose.service":           "\nExecStart=/opt/ddg/bin/ddgoose agent ",
	} {
		require.Contains(t, read(t, filepath.Join(dest, "opt/ddg", file)), holds, file)
	}
	stdout, _, code := run(t, filepath.Join(dest, "opt/ddg/bin/ddgoose"), "version")
	require.Zero(t, code)
	require.Contains(t, stdout, "v1.2.3")
}

func TestDistMakesTheSameBytesAgain(t *testing.T) {
	extra(t)
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: archives are made by GNU tar")
	}
	first, second := t.TempDir(), t.TempDir()
	makeOurs(t, "dist", first)
	makeOurs(t, "dist", second)
	sums := read(t, filepath.Join(first, "SHA256SUMS"))
	require.Equal(t, sums, read(t, filepath.Join(second, "SHA256SUMS")))
	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"} {
		require.Contains(t, sums, "  ddgoose-v1.2.3-"+platform+".tar.gz\n")
	}
	require.Equal(t, 4, strings.Count(sums, "\n"))

	name := "ddgoose-v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH
	_, stderr, code := run(t, "tar", "-C", second, "-xzf", filepath.Join(first, name+".tar.gz"))
	require.Zero(t, code, stderr)
	stdout, _, code := run(t, filepath.Join(second, name, "ddgoose"), "version")
	require.Zero(t, code)
	require.Contains(t, stdout, "v1.2.3")
	for _, file := range []string{"LICENSE", "README.md", "man/ddgoose.1", "completions/ddgoose.bash", "ddgoose.service", "ddgoose.sysusers", "ddgoose.yaml"} {
		info, err := os.Stat(filepath.Join(second, name, file))
		require.NoError(t, err)
		require.Positive(t, info.Size(), file)
	}
}
