package apitest

import (
	"os"
	"os/exec"
	"testing"
)

// Program finds a program. When it is missing, root installs its Debian package
// under make test-extra; elsewhere the test is skipped.
func Program(t *testing.T, name, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if os.Geteuid() == 0 && os.Getenv("DDGOOSE_TEST_EXTRA") != "" {
		cmd := exec.Command("sh", "-c", `apt-get update -q && apt-get install -q -y --no-install-recommends "$0"`, pkg)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("install %s: %v\n%s", pkg, err, out)
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: there is no %s here (apt-get install %s)", name, pkg)
	}
	return path
}
