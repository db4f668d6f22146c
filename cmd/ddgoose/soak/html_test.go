package soak

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePageShowsAll(t *testing.T) {
	r := &Report{
		Version: "v1", Seed: 7, Agents: []string{"a", "b<c"}, Asked: time.Minute, Lasted: 59 * time.Second, Until: time.Minute, Lease: 500 * time.Millisecond,
		Scenario: &Scenario{}, Verdict: Unsafe, Warden: true, AutoLease: true, Events: 1234567, LivesLong: 3,
		Violations: []Violation{{Promise: "P2", At: 61 * time.Second, Text: "two <geese>"}},
		Crashes:    []Crash{{Agent: "a", At: time.Second, How: "signal: killed", Log: "panic: <nil>"}},
		Leaks:      []Leak{{Agent: "b", What: "goroutines", From: 1, To: 2.5, Over: time.Hour}},
		Notes:      []string{"a note & more"},
		Struck:     []*Struck{{Kind: "kill", Agent: "a", Goose: true, From: time.Second, To: 2 * time.Second}, {Kind: "pause", Refused: "no goose"}},
		Gaps:       []Gap{{From: time.Second, To: 2 * time.Second, Old: "a", New: "b"}},
		Causes:     []ByCause{{Cause: "kill", Failovers: 2}},
		History:    &History{Accepted: 4321, Tokens: 5, Refused: 6},
		Traffic:    []Traffic{{Agent: "a", Sent: 12.25}, {Agent: "b", Sent: 24.5}},
		Samples:    map[string][]Sample{"a": {{RSS: 20, Goroutines: 30}}},
	}
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	for _, part := range []string{
		"<title>Soak, seed 7: SAFETY BROKEN</title>", `<span class="verdict safety" id="verdict">SAFETY BROKEN</span>`, "2 agents for 59s, seed 7", "version v1",
		`<td class="lost">`, "<b>1\u202f234\u202f567</b><span>events checked, 1 broke a promise", "<tr><td>P2<td>1:01<td>two &lt;geese&gt;</tr>",
		"<h2>Crash of a at 0:01</h2><p>signal: killed</p><pre>panic: &lt;nil&gt;</pre>", `<tr><td>b<td>goroutines<td class="n">1.0<td class="n">2.5<td class="n">1h0m0s</tr>`,
		"The longest lease was 500ms", `<tr><td>kill<td class="n">2`, `style="width:50.0%"`, "3 processes ran", "<b>a</b> 20 to 20 MB", "4\u202f321 writes under 5 tokens",
		"No write was accepted", "<li>a note &amp; more</li>", "<td>kill<td>a (goose)<td>", "refused: no goose", "<code>ddgoose soak --agents 2 --for 1m0s --seed 7 --warden --lease auto</code>", "b&lt;c",
	} {
		require.Contains(t, b.String(), part)
	}
	require.NotContains(t, b.String(), "%!", "every verb has its value")
}
