package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/boottime"
	"duckduckgoose/netem"
)

func TestDistributionIsByNearestRank(t *testing.T) {
	var samples []time.Duration
	for i := 100; i >= 1; i-- {
		samples = append(samples, time.Duration(i)*time.Millisecond)
	}
	of := func(samples []time.Duration) Distribution {
		d := *distributionOf(samples)
		require.Len(t, d.samples, d.N)
		d.samples = nil
		return d
	}
	require.Equal(t, Distribution{N: 100, Min: 1, Median: 50, P90: 90, P95: 95, P99: 99, Max: 100}, of(samples))
	require.Equal(t, Distribution{N: 1, Min: 7, Median: 7, P90: 7, P95: 7, P99: 7, Max: 7}, of([]time.Duration{7 * time.Millisecond}))
	require.Equal(t, 2.0, distributionOf([]time.Duration{3e6, 1e6, 2e6}).Median)
	require.Nil(t, distributionOf(nil))
}

// says is an agent's answer that it is the goose for so long from now.
func says(name string, token uint64, lasts time.Duration) *api.Status {
	return &api.Status{
		Name: name, FlockID: "f", Role: api.RoleGoose, Token: token,
		Lease: api.Lease{UntilBoottimeNS: int64(boottime.Now() + lasts)},
	}
}

func TestJudgeSeesTwoGeese(t *testing.T) {
	j := newJudge()
	j.hear(says("a", 1, time.Hour))
	j.hear(says("a", 1, 2*time.Hour))
	j.hear(&api.Status{Name: "b", FlockID: "f", Role: api.RoleDuck, Token: 1})
	require.Empty(t, j.verdict())
	j.hear(says("b", 2, time.Hour))
	require.Len(t, j.verdict(), 1)
	require.Contains(t, j.verdict()[0], "P2")
	require.Contains(t, j.text(), "broken promises: ")
}

func TestJudgeSeesTwoGeeseOfOneTerm(t *testing.T) {
	j := newJudge()
	j.hear(says("a", 1, time.Nanosecond))
	j.hear(says("a", 1, time.Hour))
	j.ends(says("a", 1, 0))
	j.hear(says("b", 1, time.Hour))
	require.Len(t, j.verdict(), 1)
	require.Contains(t, j.verdict()[0], "P1")
}

func TestJudgeKnowsWhatIsOver(t *testing.T) {
	j := newJudge()
	j.hear(says("a", 1, -time.Nanosecond)) // a paused agent's answer, which came too late to act by
	j.hear(says("b", 2, time.Hour))
	j.ends(says("b", 2, 0))
	j.hear(says("c", 3, time.Hour))
	j.hear(says("b", 2, time.Hour)) // was on its way
	require.Empty(t, j.verdict())
	j.hear(says("b", 4, time.Hour))
	require.Len(t, j.verdict(), 1, "what it says of a later period counts")
}

func TestJudgeSeesTwoGeeseInLists(t *testing.T) {
	leads := func(names ...string) (list []api.ElectionInfo) {
		for i, name := range names {
			list = append(list, api.ElectionInfo{Name: name, Token: uint64(7 + i), LeaseValid: true})
		}
		return list
	}
	j := newJudge()
	a, b, duck := leads("x", "y"), leads("z", "x"), []api.ElectionInfo{{Name: "x", Token: 8}}
	j.list("a", boottime.Now(), a)
	j.list("b", boottime.Now(), b)
	j.list("c", boottime.Now(), duck)
	require.Empty(t, j.verdict(), "a handed x over")
	j.list("a", boottime.Now(), a)
	require.Len(t, j.verdict(), 1)
	require.Contains(t, j.verdict()[0], "P3")
	j.list("c", boottime.Now(), leads("z"))
	require.Len(t, j.verdict(), 2)
	require.Contains(t, j.verdict()[1], "P1")
}

func TestIdleAddsUp(t *testing.T) {
	before := use{cpu: time.Second, counts: map[string]uint64{"datagrams_sent": 100, "gossip_sent": 10, "bytes_received": 1000}}
	after := use{
		cpu: 1200 * time.Millisecond, rss: 14.5, role: api.RoleGoose,
		counts: map[string]uint64{"datagrams_sent": 300, "gossip_sent": 30, "bytes_received": 4000, "gossip_bytes_received": 1000},
	}
	c := cost("a", before, after, 10)
	require.Equal(t, AgentCost{Name: "a", Role: "goose", CPUPercent: 2, RSSMB: 14.5, SentPS: 22, BytesInPS: 400}, c)
	i := Idle{}
	i.add(c, 2)
	i.add(AgentCost{Name: "b", CPUPercent: 1, SentPS: 2}, 2)
	require.Equal(t, 1.5, i.Mean.CPUPercent)
	require.Equal(t, 12.0, i.Mean.SentPS)
	require.Equal(t, 2.0, i.Worst.CPUPercent)
	require.Len(t, i.Agents, 2)
}

func TestTableShowsAll(t *testing.T) {
	d := &Distribution{N: 3, Median: 499.25}
	r := &Report{
		Setting: Setting{Agents: 5, HeartbeatMS: 50, LeaseMS: 500, Load: 2}, How: "kill", Failover: d, HandOff: d, Pause: d, Samples: 9,
		Idle:   &Idle{Seconds: 30, Agents: []AgentCost{{Name: "a", Role: "goose", CPUPercent: 0.5}}},
		Steady: &Steady{Seconds: 600, Changes: 1},
	}
	var b bytes.Buffer
	require.NoError(t, Text(&b, r))
	for _, part := range []string{
		"5 agents, heartbeat 50ms, lease 500ms, beside 2 busy processes per core",
		"failover (kill -9)", "hand-off gap (step-down)", "failover (kill -STOP)", "499.2", "goose", "1 changes of the goose", "9 answers", "Never two geese.",
	} {
		require.Contains(t, b.String(), part)
	}
	r.Impossible, r.AutoLease = []string{"P2: two"}, true
	r.Leases = &Leases{}
	for _, ms := range []float64{500, 750, 300, 500} {
		r.Leases.add(ms)
	}
	b.Reset()
	require.NoError(t, Text(&b, r))
	require.Contains(t, b.String(), "BROKEN: P2: two")
	require.Contains(t, b.String(), "heartbeat 50ms, lease 500ms (--lease auto), beside")
	require.Contains(t, b.String(), "geese had leases of 300 to 750 ms, and of 500 ms at the end")
	require.NotContains(t, b.String(), "Never two geese.")
}

func TestAPageShowsAll(t *testing.T) {
	d := distributionOf([]time.Duration{time.Millisecond, 2 * time.Millisecond, 17 * time.Millisecond})
	r := &Report{Setting: Setting{Agents: 5}, How: "cut", Failover: d, Idle: &Idle{Agents: []AgentCost{{Name: "a<b", CPUPercent: 1}}}}
	var b bytes.Buffer
	require.NoError(t, Page(&b, r, "ddgoose bench failover", "v1", time.Unix(0, 0)))
	for _, part := range []string{"ddgoose bench failover", "1 January 1970", "failover (network cut)", "<svg", "a&lt;b", "never two geese"} {
		require.Contains(t, b.String(), part)
	}
	require.Equal(t, 3, strings.Count(b.String(), "<svg"), "a histogram, CPU and memory")
	r.Impossible = []string{"P2: two"}
	b.Reset()
	require.NoError(t, Page(&b, r, "x", "v1", time.Unix(0, 0)))
	require.Contains(t, b.String(), "<li>P2: two</li>")
}

func TestTheTableSaysHowTheGooseEnded(t *testing.T) {
	r := &Report{How: "power", Successor: true, Warden: true, Failover: distributionOf([]time.Duration{time.Millisecond})}
	var b bytes.Buffer
	require.NoError(t, Text(&b, r))
	require.Contains(t, b.String(), "failover (power cut, its successor too, --warden)")
}

func TestMarkdownHasATableForEach(t *testing.T) {
	d := distributionOf([]time.Duration{time.Millisecond})
	r := &StartReport{Setting: Setting{Agents: 3}, Flocks: []StartTime{{3, d}}}
	var b bytes.Buffer
	require.NoError(t, Markdown(&b, r))
	require.Contains(t, b.String(), "|  | n | min | median |")
	require.Contains(t, b.String(), "|---|--:|--:|")
	require.Contains(t, b.String(), "| 3 agents | 1 | 1.0 |")
	require.True(t, strings.HasPrefix(b.String(), "new flocks, heartbeat 0ms"), "they have several sizes")
}

func TestFaultsOfTheNetworkAreRules(t *testing.T) {
	for want, o := range map[string]Options{
		"*: loss 20%": {Loss: 0.2}, "*: delay 5ms": {Delay: 5 * time.Millisecond}, "*: loss 0.5% delay 1s": {Loss: 0.005, Delay: time.Second},
	} {
		require.Equal(t, want, o.Rules())
		_, err := netem.Parse(want)
		require.NoError(t, err)
	}
}
