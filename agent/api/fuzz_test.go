package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/memtest"
)

// FuzzBodies: whatever a command's body is, it is done or refused as input,
// never both, and the answer is JSON.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		``, ` `, `{}`, `null`, `[]`, `"x"`, `{"to":"c"}`, `{"force":true}`, `{"name":"b"}`, `{"addrs":["b","c"]}`, `{"for":"10s"}`,
		`{"for":"-1s"}`, `{"for":"9223372036854775807h"}`, `{"rules":"*: cut","for":"1ns"}`, `{"rules":7}`, `{"to":"c"}{}`, `{"to":"\ud800"}`, "\xff",
	} {
		for i := range commands {
			f.Add(i, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		c := commands[uint(i)%uint(len(commands))]
		a := apitest.New()
		got := ask(a, api.Local, c.method, c.path, string(body))
		require.True(t, json.Valid([]byte(got.body)), got.body)
		if got.code == http.StatusOK {
			require.Len(t, a.Heard(), 1)
			return
		}
		require.Equal(t, http.StatusBadRequest, got.code)
		require.Empty(t, a.Heard())
		var e api.Error
		require.NoError(t, json.Unmarshal([]byte(got.body), &e))
		require.NotEmpty(t, e.Error)
	})
}

// FuzzLeadLines: whatever a holder writes, only tokens above 0 reach the agent.
func FuzzLeadLines(f *testing.F) {
	for _, lines := range []string{
		"", "\n\n", `{}`, `null`, "{\"drained\":7}\n", `{"drained":7,"step_down":true}`, "{\"late\":7}\r\n{\"drained\":7}", `{"drained":-1}`,
		`{"drained":18446744073709551616}`, `{"step_down":true}`, "{\"drained\":7}\n\xff",
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		var h apitest.Holder
		if err := api.HearLines(&h, lines); err != nil {
			require.ErrorIs(t, err, api.ErrInput)
		}
		require.NotContains(t, h.Heard(), "drained 0")
		require.NotContains(t, h.Heard(), "drained 0, step down")
		require.NotContains(t, h.Heard(), "late 0")
	})
}

// overTCP takes the connections of a unix socket for those of a network.
type overTCP struct{ net.Listener }

func (l overTCP) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return pipeFrom{c, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}, nil
}

var (
	roughPaths   = slices.Concat(readable, private, []string{"/", "*", "/v1/elections/x/status", "http://[::1", "/v1/lead?grace=9s&share=true", "/%"})
	roughMethods = append([]string{"GET", "HEAD", "OPTIONS", "PRI", ""}, writes...)
	roughHeaders = []string{
		"", "Connection: close\r\n", "Expect: 100-continue\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Transfer-Encoding: chunked\r\n",
		"Content-Length: 9\r\n", "Content-Length: 9223372036854775807\r\n", "Content-Length: -1\r\n", "X: \x00\r\n", " folded\r\n",
	}
)

// roughRequest is a request of parts that are right, or nearly.
func roughRequest(method, path, header uint8, body []byte) []byte {
	at := func(list []string, i uint8) string { return list[int(i)%len(list)] }
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: agent\r\n%s", at(roughMethods, method), at(roughPaths, path), at(roughHeaders, header))
	switch at(roughHeaders, header) {
	case "":
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	case "Transfer-Encoding: chunked\r\n":
		body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	return append([]byte(head+"\r\n"), body...)
}

// FuzzSocket: whatever a process of the agent's own user writes, it gets answers
// of the contract and then the end, and the agent keeps nothing of it.
func FuzzSocket(f *testing.F) { fuzzConnections(f, api.Local) }

// FuzzHTTP: the same of anybody at --http.
func FuzzHTTP(f *testing.F) { fuzzConnections(f, api.Public) }

func fuzzConnections(f *testing.F, scope api.Scope) {
	for path := range roughPaths {
		f.Add(uint8(0), uint8(path), uint8(path), []byte(`{}`), []byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
		f.Add(uint8(5), uint8(path), uint8(0), []byte(`{"for":"10s"}`), []byte("{\"drained\":7,\"step_down\":true}\n"))
	}
	f.Add(uint8(5), uint8(slices.Index(roughPaths, "/v1/lead")), uint8(4), []byte("{\"late\":7}\n{\"drained\":7}\n"), []byte("\xff"))
	f.Add(uint8(0), uint8(0), uint8(6), []byte{}, []byte("GET / HTTP/1.0\r\n\r\nBREW /\r\n"))
	dir, err := os.MkdirTemp("", "ddg")
	require.NoError(f, err)
	socket, err := api.ListenSocket(filepath.Join(dir, "a.sock"), 0o600)
	require.NoError(f, err)
	var ln net.Listener = socket
	if scope == api.Public {
		ln = overTCP{socket}
	}
	a := apitest.New()
	s := api.NewServer(a, scope, nil)
	go func() { _ = s.Serve(ln) }()
	f.Cleanup(func() {
		require.NoError(f, s.Close())
		close(a.Holders)
		require.NoError(f, os.RemoveAll(dir))
	})
	go func() {
		for range a.Holders { // nobody grants it anything
		}
	}()
	memory := memtest.New()
	f.Fuzz(func(t *testing.T, method, path, header uint8, body, rest []byte) {
		memory.Input(t, func() {
			first := &http.Request{Method: roughMethods[int(method)%len(roughMethods)]}
			converse(t, socket.Path(), first, append(roughRequest(method, path, header, body), rest...))
			if scope == api.Public {
				require.Empty(t, a.Heard())
			}
			a.Forget()
		})
	})
}

// converse writes all to a socket, and demands answers until the end.
func converse(t *testing.T, socket string, asked *http.Request, all []byte) {
	raw, err := net.Dial("unix", socket)
	require.NoError(t, err)
	c := raw.(*net.UnixConn)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = c.Write(all) // the server may have closed
		_ = c.CloseWrite()
	}()
	defer func() {
		_ = c.Close()
		<-wrote
	}()
	for in := bufio.NewReader(c); ; asked = nil {
		resp, err := http.ReadResponse(in, asked)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "neither an answer nor the end")
		if err != nil {
			return
		}
		if resp.Header.Get("Content-Type") == "application/x-ndjson" {
			return // it lasts
		}
		got, err := io.ReadAll(resp.Body)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "half an answer")
		if asked != nil && asked.Method != http.MethodHead && resp.Header.Get("Content-Type") == "application/json" {
			require.NoError(t, err)
			require.True(t, json.Valid(got), "%q", got)
		}
		if err != nil || resp.Close {
			return // or a later one was to HEAD, and has no body
		}
	}
}
