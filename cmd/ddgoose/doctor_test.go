package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

func TestDoctorSaysItsVerdictFirst(t *testing.T) {
	a, socket := fake(t)
	got := run(t, "doctor", "--socket", socket)
	require.Equal(t, outcome{code: 1, stdout: `trouble: trouble: 1 found

trouble  50% of the datagrams from a to b are lost
         -> look at the network between them

Voter  Priority  If it dies
a      100       nobody can be elected

From the row to the column: loss, and round trip (measured for 2s)
   a  b
a  -  50% 250µs
b  ?  -

Clock rates differ by 0.001% at most (measured to 0.020%); leases tolerate 1%

Agent  Address         State  Role   Voter  Lease  Host  Version
a      127.0.0.1:3825  alive  goose  yes    -      ?     ?
b      127.0.0.1:3826  alive  ?      no     -      ?     ?
`}, got)
	require.Equal(t, []string{"doctor for 2s"}, a.Heard())

	got = run(t, "doctor", "--json", "--for", "5s", "--socket", socket)
	require.Equal(t, 1, got.code)
	require.Empty(t, got.stderr)
	var d api.Doctor
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &d))
	require.Equal(t, apitest.Doctor(), d)
}

func TestDoctorsExitCodeIsItsVerdict(t *testing.T) {
	for verdict, code := range map[string]int{api.VerdictHealthy: 0, api.VerdictTrouble: 1, api.VerdictCannotTell: 2} {
		a, socket := fake(t)
		a.Diagnose(func(d *api.Doctor) { d.Verdict = verdict })
		got := run(t, "doctor", "--socket", socket)
		require.Equal(t, code, got.code)
		require.Empty(t, got.stderr)
	}
	a, socket := fake(t)
	a.Fail(errors.New("it is dead"))
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: it is dead\n"}, run(t, "doctor", "--socket", socket))
	require.Equal(t, 2, run(t, "doctor", "--socket", socket+".none").code)
	require.Equal(t, outcome{code: 2, stderr: "ddgoose: --for 25s: want 1s to 20s\n"}, run(t, "doctor", "--for", "25s", "--socket", socket))
}

func TestDoctorListsOnlyBadPathsOfALargeFlock(t *testing.T) {
	d := api.Doctor{Verdict: api.VerdictHealthy, Summary: "\x1b[2J"}
	none, some := 0.0, 0.25
	for i := range matrixMost + 1 {
		for j := range matrixMost + 1 {
			p := api.Path{From: fmt.Sprintf("n%d", i), To: fmt.Sprintf("n%d", j), Loss: &none}
			if i == 3 && j == 4 {
				p.Loss = &some
			}
			if i != j {
				d.Paths = append(d.Paths, p)
			}
		}
	}
	var out bytes.Buffer
	require.NoError(t, printDoctor(&out, &d))
	require.Contains(t, out.String(), "\nn3  n4  25%\n")
	require.NotContains(t, out.String(), "n1")
	require.NotContains(t, out.String(), "\x1b", "what came by the network commands no terminal")
}

func TestAPathIsAFewLetters(t *testing.T) {
	none, all, some, rtt := 0.0, 1.0, 0.3, 0.25
	for want, p := range map[string]*api.Path{
		"-": nil, "?": {}, "cut": {Loss: &all}, "TCP only": {Loss: &all, Stream: api.StreamOK}, "ok": {Loss: &none},
		"30% 250µs": {Loss: &some, RTTMS: &rtt}, "250µs UDP only": {Loss: &none, RTTMS: &rtt, Stream: api.StreamFailed},
		"250µs small MTU": {Loss: &none, RTTMS: &rtt, Stream: api.StreamSmall},
	} {
		require.Equal(t, want, cell(p))
	}
}
