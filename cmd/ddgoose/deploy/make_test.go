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
func makeOurs(t *testing.T, target, dist string, settings ...string) (out string) {
	t.Helper()
	tool(t, "make", "apt-get install make")
	args := append([]string{"--no-print-directory", target, "VERSION=v1.2.3", "COMMIT=0123456789ab", "DATE=2023-11-14", "SOURCE_DATE_EPOCH=1700000000",
		"DIST=" + dist, "BIN=" + filepath.Join(dist, "bin", "ddgoose")}, settings...)
	cmd := exec.Command("make", args...)
	cmd.Dir = "../../.."
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return string(said)
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
		"share/doc/ddgoose/README.md":                  "# DuckDuckGoose",
		"share/doc/ddgoose/handbook.md":                "# The handbook",
		"lib/sysusers.d/ddgoose.conf":                  "u ddgoose ",
		"lib/systemd/system/ddgoose.service":           "\nExecStart=/opt/ddg/bin/ddgoose agent ",
	} {
		require.Contains(t, read(t, filepath.Join(dest, "opt/ddg", file)), holds, file)
	}
	stdout, _, code := run(t, filepath.Join(dest, "opt/ddg/bin/ddgoose"), "version")
	require.Zero(t, code)
	require.Contains(t, stdout, "ddgoose v1.2.3 (commit 0123456789ab of 2023-11-14, go")
}

func TestModuleIsRenamedInOneStep(t *testing.T) {
	extra(t)
	tool(t, "git", "apt-get install git")
	dir := t.TempDir()
	out, err := exec.Command("sh", "-c", `cd "$(git rev-parse --show-toplevel)" && git ls-files -z | xargs -0 tar -c | tar -x -C "$0"`, dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	const home = "example.com/a.b/goose"
	for _, line := range []string{
		"make module PATH=" + home,
		"test -z \"$(gofmt -l .)\"",
		"go test -run Bytes ./wire",
		"! grep -rn --include='*.go' '\"duckduckgoose/' .",
	} {
		cmd := exec.Command("sh", "-ec", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
	}
	requireEmbeds(t, dir, home)
	cmd := exec.Command("make", "module", "PATH=nowhere")
	cmd.Dir = dir
	out, err = cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "make module PATH=github.com/you/duckduckgoose")
}

// embedder is a program of another module that names what the packages export.
const embedder = `package main

import (
	"context"

	"HOME/agent"
	"HOME/agent/api"
	"HOME/agent/client"
)

func main() {
	var c agent.Config
	a, err := agent.New(c)
	if err != nil {
		panic(err)
	}
	var metrics agent.Collector = a.Collector()
	var status agent.Status = a.Status()
	var answer api.Status
	answer, err = client.New("/run/x.sock").Status(context.Background())
	println(metrics, status.Name, answer.Name, err)
}
`

// requireEmbeds vets a program of another module, and installs the binary from the copy.
func requireEmbeds(t *testing.T, dir, home string) {
	t.Helper()
	user := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(user, "main.go"), []byte(strings.ReplaceAll(embedder, "HOME", home)), 0o600))
	cmd := exec.Command("sh", "-ec", `sed 's,^module .*,module example.com/user,' "$0/go.mod" > go.mod
		cp "$0/go.sum" .
		go mod edit -require "$1@v0.0.0" -replace "$1=$0"
		go vet -mod=mod .
		go -C "$0" install ./cmd/ddgoose
		"$GOBIN/ddgoose" --version`, dir, home)
	cmd.Dir, cmd.Env = user, append(os.Environ(), "GOBIN="+filepath.Join(user, "bin"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestDistMakesTheSameBytesAgain(t *testing.T) {
	extra(t)
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: archives are made by GNU tar")
	}
	first, second := t.TempDir(), t.TempDir()
	ours := []string{"PLATFORMS=linux/" + runtime.GOARCH + " darwin/arm64", "PACKAGED=" + runtime.GOARCH} // the others take minutes
	require.Regexp(t, `darwin-arm64 \(2 of 2, about \d+s left\)`, makeOurs(t, "dist", first, ours...))
	makeOurs(t, "dist", second, ours...)
	sums := read(t, filepath.Join(first, "SHA256SUMS"))
	require.Equal(t, sums, read(t, filepath.Join(second, "SHA256SUMS")))
	for _, kind := range []string{".deb", ".rpm", ".apk", "-oci.tar", "linux-" + runtime.GOARCH + ".tar.gz", "darwin-arm64.tar.gz", "darwin-arm64.cdx.json"} {
		require.Contains(t, sums, kind+"\n")
	}
	require.Equal(t, 8, strings.Count(sums, "\n"))

	name := "ddgoose-v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH
	_, stderr, code := run(t, "tar", "-C", second, "-xzf", filepath.Join(first, name+".tar.gz"))
	require.Zero(t, code, stderr)
	stdout, _, code := run(t, filepath.Join(second, name, "ddgoose"), "version")
	require.Zero(t, code)
	require.Contains(t, stdout, "v1.2.3")
	for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md", "handbook.md", "man/ddgoose.1", "completions/ddgoose.bash", "ddgoose.service", "ddgoose.sysusers", "ddgoose.yaml"} {
		info, err := os.Stat(filepath.Join(second, name, file))
		require.NoError(t, err)
		require.Positive(t, info.Size(), file)
	}
}
