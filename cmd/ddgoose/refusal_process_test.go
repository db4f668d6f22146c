package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
)

// refused starts an agent that must end by itself, with one error line.
func refused(t *testing.T, p *process) (line string) {
	t.Helper()
	require.Equal(t, 1, p.exit(), p.log)
	all := lines(p.log.String())
	last := all[len(all)-1]
	require.True(t, strings.HasPrefix(last, "ddgoose: "), p.log)
	require.Equal(t, 1, strings.Count(p.log.String(), "ddgoose: "), p.log)
	return last
}

// paste runs a command that an error has printed.
func paste(t *testing.T, line string, second *process) {
	t.Helper()
	command := regexp.MustCompile(`ddgoose agent .*$`).FindString(line)
	require.NotEmpty(t, command, line)
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"))
	second.spawn(cmd)
}

func TestProcessSecondStartPrintsACommandThatWorks(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	port := freePort(t)
	a := startAgent(t, dir, "a", "--bind", port)
	a.until("goose", isGoose)

	// The same command again: the data directory is taken.
	line := refused(t, startAgent(t, dir, "a", "--bind", port))
	require.Contains(t, line, "data directory "+a.data+" is in use by another agent (process ")
	second := &process{t: t, name: "a-2", socket: filepath.Join(dir, "a-2.sock")}
	paste(t, line, second)
	require.Equal(t, "a-2", second.until("joined", func(s api.Status) bool { return s.Goose != nil }).Name)

	// Another name, the same port.
	b := startAgent(t, dir, "b", "--bind", port)
	line = refused(t, b)
	require.Contains(t, line, "port "+port+" is taken")
	paste(t, line, b)
	b.until("joined", func(s api.Status) bool { return s.Goose != nil && s.Alive == 3 })
}

func TestProcessSecondStartOnAnyPortPrintsNoCommand(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	a := startAgent(t, dir, "a", "--bind", "127.0.0.1:0")
	a.until("goose", isGoose)
	line := refused(t, startAgent(t, dir, "a", "--bind", "127.0.0.1:0"))
	require.Contains(t, line, "start the second agent with --data-dir OTHER")
	require.NotContains(t, line, "--join", "nobody can join port 0")
}

func TestProcessSecondNameIsRefused(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	a := startAgent(t, dir, "a")
	addr := a.addr()
	a.until("an elder of its name", func(s api.Status) bool { return s.Uptime > 4 })
	b := &process{t: t, data: filepath.Join(dir, "b"), socket: filepath.Join(dir, "b.sock"), name: "a"}
	b.start("--join", addr)
	line := refused(t, b)
	require.Contains(t, line, "name a is taken by the agent at "+addr)
	paste(t, line, b)
	require.Equal(t, "a-2", b.until("joined", func(s api.Status) bool { return s.Goose != nil }).Name)
	require.False(t, closed(a.gone), a.log)
}

func TestProcessAgentsThatCannotTalkSayWhy(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	keys := []string{filepath.Join(dir, "1"), filepath.Join(dir, "2")}
	for _, k := range keys {
		require.Zero(t, run(t, "keygen", "--out", k).code)
	}
	a := startAgent(t, dir, "a", "--key-file", keys[0])
	a.until("goose", isGoose)

	b := startAgent(t, dir, "b", "--key-file", keys[1], "--join", a.addr())
	b.until("another key", warns("key"))
	c := startAgent(t, dir, "c", "--key-file", keys[0], "--join", a.addr(), "--flock", "other")
	c.until("another label", warns("--flock"))
	d := startAgent(t, dir, "d", "--key-file", keys[0], "--join", "127.0.0.1:1")
	d.until("nobody there", warns("nobody answers at 127.0.0.1:1"))
	for _, p := range []*process{b, c, d} {
		s := p.status()
		require.Nil(t, s.Goose, p.name)
		require.Equal(t, 1, s.Alive, p.name)
	}
	s := a.status()
	require.Equal(t, 1, s.Alive)
	require.Len(t, s.Config.Voters, 1)
}

func TestProcessRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	appendFile(t, file, "x")
	key := filepath.Join(dir, "key")
	appendFile(t, key, "AAAA\n")
	open := filepath.Join(dir, "open")
	appendFile(t, open, "x")
	require.NoError(t, os.Chmod(open, 0o644))
	for flag, c := range map[string]struct{ value, want string }{
		"--data-dir": {file, file},
		"--key-file": {key, "key of 3 bytes: want 32"},
		"--http":     {"256.0.0.1:1", "256.0.0.1"},
	} {
		p := startAgent(t, shortDir(t), "a", flag, c.value)
		require.Contains(t, refused(t, p), c.want, flag)
	}
	require.Contains(t, refused(t, startAgent(t, shortDir(t), "a", "--key-file", open)), "chmod 600 "+open)
	require.Contains(t, refused(t, startAgent(t, shortDir(t), "a", "--socket", file)), file+" exists and is not a socket")
}

func TestProcessBrokenDiskIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	a := startAgent(t, shortDir(t), "a")
	a.until("goose", isGoose)
	require.NoError(t, a.cmd.Process.Kill())
	a.exit()
	state := filepath.Join(a.data, "state")
	info, err := os.Stat(state)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(state, []byte(strings.Repeat("\xa5", int(info.Size()))), 0o600))
	a.start()
	line := refused(t, a)
	require.Contains(t, line, "is damaged in both slots")
	require.Contains(t, line, "--join ADDR")
}

// freePort is one that is free for UDP and TCP, below those that the kernel
// gives to whoever asks for any.
func freePort(t *testing.T) (addr string) {
	t.Helper()
	apitest.Eventually(t, func() bool {
		addr = fmt.Sprintf("127.0.0.1:%d", 11000+rand.IntN(20000))
		tcp, err := net.Listen("tcp4", addr)
		if err != nil {
			return false
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp4", addr)
		if err != nil {
			return false
		}
		return udp.Close() == nil
	}, "a free port")
	return addr
}
