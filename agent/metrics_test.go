package agent

import (
	"bufio"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

// scrape returns an agent's metrics, as text and by series.
func (f *testFlock) scrape(name string) (text string, of map[string]float64) {
	f.t.Helper()
	w := httptest.NewRecorder()
	newBackend(f.agents[name].Agent).Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(f.t, 200, w.Code, w.Body.String())
	text = w.Body.String()
	of = map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && !strings.HasPrefix(lines.Text(), "#") {
			v, err := strconv.ParseFloat(lines.Text()[i+1:], 64)
			require.NoError(f.t, err, lines.Text())
			of[lines.Text()[:i]] = v
		}
	}
	return text, of
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		f.allAlive()
		f.sleep(25 * time.Second)
		goose, duck := f.goose(), f.ducks()[0]
		text, at := f.scrape(goose)
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		require.NoError(t, err)
		for _, p := range problems {
			require.False(t, strings.HasPrefix(p.Metric, "ddgoose_"), "%s: %s", p.Metric, p.Text)
		}
		for series, want := range map[string]float64{
			"ddgoose_is_goose": 1, "ddgoose_has_goose": 1, "ddgoose_is_voter": 1, "ddgoose_voters": 3, "ddgoose_gossip_health_score": 0,
			"ddgoose_lease_length_seconds":   0.5,
			`ddgoose_members{state="alive"}`: 3, `ddgoose_members{state="failed"}`: 0,
			`ddgoose_elections_total{outcome="won"}`: 1, `ddgoose_leads_ended_total{cause="deposed"}`: 0,
			`ddgoose_dropped_total{reason="checksum"}`:                0,
			`ddgoose_datagrams_total{direction="sent",kind="ack"}`:    0,
			`ddgoose_datagrams_total{direction="sent",kind="resign"}`: 0,
		} {
			got, there := at[series]
			require.True(t, there, "%s in\n%s", series, text)
			require.Equal(t, want, got, series)
		}
		require.Positive(t, at["ddgoose_term"])
		require.Positive(t, at["ddgoose_save_duration_seconds_count"])
		require.Greater(t, at["ddgoose_lease_remaining_seconds"], 0.3)
		require.Less(t, at["ddgoose_promise_age_seconds"], 0.2)
		require.Contains(t, text, "ddgoose_build_info{goversion=")
		require.Contains(t, text, "\nddgoose_goroutines ", "read by programs")
		sent, received := at[`ddgoose_datagrams_total{direction="sent",kind="heartbeat"}`], at[`ddgoose_datagrams_total{direction="received",kind="ack"}`]
		require.InDelta(t, 25*20*2, sent, 100)
		require.InDelta(t, sent, received, 10)
		require.Greater(t, at[`ddgoose_datagram_bytes_total{direction="sent",kind="heartbeat"}`], 50*sent)
		require.Positive(t, at[`ddgoose_datagrams_total{direction="sent",kind="gossip"}`])

		text, at = f.scrape(duck)
		require.Zero(t, at["ddgoose_is_goose"])
		require.Zero(t, at["ddgoose_lease_remaining_seconds"])
		require.Greater(t, at["ddgoose_promise_remaining_seconds"], 0.3, text)
		require.Less(t, at["ddgoose_promise_age_seconds"], 0.2)
		require.Positive(t, at[`ddgoose_votes_given_total`])
	})
}

func TestMetricsTellLossByPeerAndFaults(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose, ducks := f.goose(), f.ducks()
		peer := func(name string) string {
			return `{id="` + f.agents[name].Status().ID + `",peer="` + name + `"}`
		}
		require.NoError(t, f.agents[ducks[0]].faults.Set("in "+f.agents[goose].addr.String()+": loss 40%", 0))
		f.sleep(30 * time.Second)
		require.Equal(t, goose, f.goose())
		_, at := f.scrape(goose)
		require.InDelta(t, 0.4, at["ddgoose_peer_loss_ratio"+peer(ducks[0])], 0.15)
		require.InDelta(t, 0, at["ddgoose_peer_loss_ratio"+peer(ducks[1])], 0.02)
		require.Contains(t, at, "ddgoose_peer_rtt_seconds"+peer(ducks[1]))
		_, at = f.scrape(ducks[0])
		require.InDelta(t, 0.4, at["ddgoose_peer_loss_ratio"+peer(goose)], 0.15)
		require.NotContains(t, at, "ddgoose_peer_loss_ratio"+peer(ducks[1]), "nothing is expected of it")
		require.Greater(t, at[`ddgoose_netem_faults_total{fault="lost"}`], 100.)
		require.EqualValues(t, 1, at["ddgoose_netem_active"])
		require.Zero(t, at["ddgoose_freeze_remaining_seconds"])
	})
}

func TestLeaderlessSecondsCountTheTimeWithoutAGoose(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		goose, duck := f.goose(), f.ducks()[0]
		_, before := f.scrape(duck)
		f.sleep(5 * time.Second)
		_, calm := f.scrape(duck)
		require.Equal(t, before["ddgoose_leaderless_seconds_total"], calm["ddgoose_leaderless_seconds_total"])
		f.cut([]string{duck}, f.others(duck))
		f.sleep(10 * time.Second)
		_, cut := f.scrape(duck)
		require.InDelta(t, calm["ddgoose_leaderless_seconds_total"]+9.5, cut["ddgoose_leaderless_seconds_total"], 0.1)
		f.heal()
		f.until(10*time.Second, "heard again", func() bool { return f.agreed(duck, goose) })
		f.sleep(time.Second) // metrics are gathered once a second
		_, healed := f.scrape(duck)
		f.sleep(5 * time.Second)
		_, later := f.scrape(duck)
		require.Equal(t, healed["ddgoose_leaderless_seconds_total"], later["ddgoose_leaderless_seconds_total"])
		require.NoError(t, f.agents[duck].Die(0))
		f.sleep(3 * time.Second)
		_, dead := f.scrape(duck)
		require.InDelta(t, later["ddgoose_leaderless_seconds_total"]+2.5, dead["ddgoose_leaderless_seconds_total"], 0.6)
		require.NoError(t, f.agents[duck].Revive())
	})
}

// others returns the live agents but one.
func (f *testFlock) others(but string) (names []string) {
	for _, name := range f.live() {
		if name != but {
			names = append(names, name)
		}
	}
	return names
}

func TestAgentsShareARegistryOfTheirProgram(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.found(3)
		r := prometheus.NewPedanticRegistry()
		for _, name := range f.live() {
			prometheus.WrapRegistererWith(prometheus.Labels{"agent": name}, r).MustRegister(f.agents[name].Collector())
		}
		families, err := r.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "ddgoose_is_goose" {
				require.Len(t, family.GetMetric(), 3)
				return
			}
		}
		require.Fail(t, "ddgoose_is_goose is missing")
	})
}

func TestTheProgramsOwnCountersCannotSpoilTheMetrics(t *testing.T) {
	inFlock(t, func(t *testing.T, f *testFlock) {
		f.start("a", func(c *Config) {
			c.Version = "v1 \"\xff"
			c.Counters = func() map[string]uint64 { return map[string]uint64{"datagrams": 1, "hooks_run": 3} }
		})
		f.settle(1)
		_, at := f.scrape("a")
		require.EqualValues(t, 3, at["ddgoose_hooks_run_total"])
		require.NotContains(t, at, "ddgoose_datagrams_total")
	})
}
