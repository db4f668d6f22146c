package apitest

import (
	"os/exec"
	"strings"
	"testing"
)

// ImportsNone fails when pkg imports one of these packages or what is below
// them, by whatever way. Each has the reason why not.
func ImportsNone(t *testing.T, pkg string, banned map[string]string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pkg, err, out)
	}
	for _, dep := range strings.Fields(string(out)) {
		for path, why := range banned {
			if dep == path || strings.HasPrefix(dep, path+"/") {
				t.Errorf("%s imports %s: %s", pkg, dep, why)
			}
		}
	}
}
