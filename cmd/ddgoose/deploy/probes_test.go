package deploy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/cmd/ddgoose/flock"
)

var (
	questions    = []string{"/goose", "/duck", "/healthz", "/readyz"}
	probeMethods = []string{"GET", "HEAD", "OPTIONS"}
)

// probe asks as a load balancer does, in the least of HTTP, and gives the
// status and how long the body is.
func probe(network, address, method, path string) (status, body int, err error) {
	conn, err := net.DialTimeout(network, address, soon)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.0\r\n\r\n", method, path); err != nil {
		return 0, 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, len(text), err
}

// answers returns the statuses of the four questions by each method; the body is
// there but for HEAD.
func answers(t *testing.T, a *flock.Agent) map[string][4]int {
	t.Helper()
	all := map[string][4]int{}
	for network, address := range map[string]string{"unix": a.Socket, "tcp": a.HTTP} {
		for _, method := range probeMethods {
			var got [4]int
			for i, path := range questions {
				status, body, err := probe(network, address, method, path)
				require.NoError(t, err, "%s %s %s", network, method, path)
				require.Equal(t, method == "HEAD", body == 0, "%s %s %s: a body of %d bytes", network, method, path, body)
				got[i] = status
			}
			all[network+" "+method] = got
		}
	}
	return all
}

// TestProcessesOfAFlockAnswerProbesAlike asks real agents over both of their
// doors. A loaded machine may cost a lease for a moment, so that all is asked
// until it is so at once.
func TestProcessesOfAFlockAnswerProbesAlike(t *testing.T) {
	f := newFlock(t, 3)
	var got map[string][4]int
	answer := func(name string, want [4]int) bool {
		got = answers(t, agent(t, f, name))
		for _, a := range got {
			if a != want {
				return false
			}
		}
		return len(got) == 2*len(probeMethods)
	}
	alike := func(name string, want [4]int) {
		t.Helper()
		apitest.Eventually(t, func() bool { return answer(name, want) }, "%s: want %v of %v, and got %v", name, want, questions, &got)
	}
	var goose string
	var token uint64
	apitest.Eventually(t, func() bool { // nor does the goose stay the same
		goose, token = gooseOf(t, f, 0)
		for _, name := range f.Names() {
			want := [4]int{503, 200, 200, 200}
			if name == goose {
				want = [4]int{200, 503, 200, 200}
			}
			if !answer(name, want) {
				return false
			}
		}
		return true
	}, "a goose and two ducks; last: %v", &got)
	status, _, err := probe("tcp", agent(t, f, goose).HTTP, "POST", "/goose")
	require.NoError(t, err)
	require.Equal(t, http.StatusMethodNotAllowed, status)

	require.NoError(t, agent(t, f, goose).Client().Die(t.Context(), 0))
	alike(goose, [4]int{503, 503, 503, 503})
	var left []string
	for _, name := range f.Names() {
		if name != goose {
			until(t, f, name, "another goose", func(s api.Status) bool { return s.Goose != nil && s.Token > token })
			left = append(left, name)
		}
	}
	require.NoError(t, f.Kill(left[0]))
	alike(left[1], [4]int{503, 503, 200, 503}) // it lives, and knows no goose
}
