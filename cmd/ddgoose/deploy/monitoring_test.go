package deploy

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"duckduckgoose/agent/api"
)

// rare are metrics that an agent shows once something has happened.
var rare = []string{"ddgoose_second_leaders_total", "ddgoose_well", "ddgoose_peer_rtt_seconds", "ddgoose_peer_loss_ratio"}

func TestAlertsAndDashboardNameMetricsThatAgentsShow(t *testing.T) {
	f := newFlock(t, 1)
	resp, err := http.Get("http://" + agent(t, f, "a").HTTP + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	s := until(t, f, "a", "it counts", func(s api.Status) bool { return len(s.Counters) > 0 })
	known := read(t, "../../../agent/internal/meters/collector.go") + strings.Join(slices.Collect(maps.Keys(s.Counters)), " ")
	shown := slices.Clone(rare)
	for _, m := range rare {
		require.Contains(t, known, strings.TrimSuffix(strings.TrimPrefix(m, "ddgoose_"), "_total"))
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(string(text), -1) {
		shown = append(shown, m[1])
	}
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		used := regexp.MustCompile(`\b(ddgoose|process)_[a-z_]+`).FindAllString(read(t, file), -1)
		require.NotEmpty(t, used)
		for _, name := range used {
			require.Contains(t, shown, strings.TrimSuffix(name, "_bucket"), "%s: %s", file, name)
		}
	}
}

func TestDashboardIsComplete(t *testing.T) {
	var d struct {
		Title      string
		Templating struct{ List []struct{ Name string } }
		Panels     []struct {
			ID          int
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "dashboard.json")), &d))
	require.Len(t, d.Templating.List, 2)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		require.NotEmpty(t, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, target := range p.Targets {
			require.NotEmpty(t, target.LegendFormat, p.Title)
			require.Contains(t, target.Expr, `{job=~"$job"}`, p.Title)
		}
	}
}

func TestEveryAlertIsTested(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "alerts.yaml")), &rules))
	tests := read(t, "alerts_test.yaml")
	for _, r := range rules.Groups[0].Rules {
		require.Contains(t, tests, `alertname="`+r.Alert+`"`)
		require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
	}
}

func TestAlertsFireAsPromtoolSees(t *testing.T) {
	extra(t)
	promtool := debian(t, "prometheus", "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		out, stderr, code := run(t, promtool, args...)
		require.Zero(t, code, "%s%s", out, stderr)
	}
}

// debian finds a program, or takes it out of Debian's package, without installing that.
func debian(t *testing.T, pkg, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	fetch := exec.Command("sh", "-c", "apt-get download "+pkg+" || { apt-get update && apt-get download "+pkg+"; } && dpkg-deb -x "+pkg+"_*.deb .")
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: there is no %s here, and package %s cannot be had: %v: %.300s", program, pkg, err, out)
	}
	return filepath.Join(dir, "usr", "bin", program)
}
