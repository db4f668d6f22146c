package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	agentclient "duckduckgoose/agent/client"
	"duckduckgoose/agent/fence/pgtest"
)

var binary apitest.Binary

func TestMain(m *testing.M) {
	code := m.Run()
	if err := binary.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// postgres is PostgreSQL, once for each of some names.
type postgres struct {
	*pgtest.Programs
	t *testing.T
}

// start starts a server that knows its name, and gives its port.
func (p *postgres) start(name string) (port string) {
	_, port, err := net.SplitHostPort(freePort(p.t))
	require.NoError(p.t, err)
	data := filepath.Join(p.Dir, name)
	p.Init(p.t, data)
	server := p.Command("postgres", "-D", data, "-k", p.Dir, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
	log, err := os.Create(filepath.Join(p.Dir, name+".log"))
	require.NoError(p.t, err)
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	require.NoError(p.t, server.Start())
	p.t.Cleanup(func() {
		require.NoError(p.t, server.Process.Signal(syscall.SIGQUIT)) // at once
		_ = server.Wait()                                            // its code tells of that
	})
	require.Eventually(p.t, func() bool {
		_, err := p.ask(port, "CREATE TABLE IF NOT EXISTS who AS SELECT '"+name+"' AS name")
		return err == nil
	}, time.Minute, 20*time.Millisecond, "PostgreSQL of %s", name)
	return port
}

// ask asks over TCP, by a connection of its own.
func (p *postgres) ask(port, sql string) (string, error) {
	out, err := p.Command("psql", "-h", "127.0.0.1", "-p", port, "-U", "test", "-d", "postgres", "-XAtqc", sql).Output()
	return strings.TrimSpace(string(out)), err
}

func freePort(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// agent is a real one, beside a server.
type agent struct {
	socket string
	args   []string
	cmd    *exec.Cmd
}

func (a *agent) start(t *testing.T) {
	a.cmd = exec.Command(binary.Path(t), a.args...)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, a.cmd.Start())
}

func (a *agent) kill() {
	_ = a.cmd.Process.Kill() // it may have ended
	_ = a.cmd.Wait()
}

// TestPostgreSQLThroughTheProxy kills the goose again and again while a client asks by new
// connections, and another one by one connection for as long as that lasts.
func TestPostgreSQLThroughTheProxy(t *testing.T) {
	p := &postgres{pgtest.Find(t), t}
	dir, err := os.MkdirTemp("", "ddpx")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	agents, seed := map[string]*agent{}, freePort(t)
	for i, name := range []string{"a", "b", "c", "watcher"} {
		bind := seed
		if i > 0 {
			bind = freePort(t)
		}
		a := &agent{socket: filepath.Join(dir, name+".sock")}
		a.args = []string{"agent", "--name", name, "--bind", bind, "--join", seed, "--data-dir", filepath.Join(dir, name), "--socket", a.socket, "--profile", "lan"}
		if name == "watcher" {
			a.args = append(a.args, "--observer")
		} else {
			a.args = append(a.args, "--expect", "3", "--tag", "pg="+p.start(name))
		}
		agents[name] = a
		a.start(t)
		t.Cleanup(a.kill)
	}
	listen := freePort(t)
	_, port, err := net.SplitHostPort(listen)
	require.NoError(t, err)
	forward := exec.Command(binary.Path(t), "proxy", "--listen", listen, "--to-tag", "pg", "--socket", agents["watcher"].socket)
	forward.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.Eventually(t, func() bool { _, err := os.Stat(agents["watcher"].socket); return err == nil }, patience, time.Millisecond)
	var said strings.Builder
	forward.Stderr = &said
	require.NoError(t, forward.Start())
	t.Cleanup(func() {
		_ = forward.Process.Kill()
		_ = forward.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})

	who := func() string {
		name, err := p.ask(port, "SELECT name FROM who")
		if err != nil {
			return ""
		}
		return name
	}
	next := func(not string) (name string) {
		require.Eventually(t, func() bool { name = who(); return name != "" && name != not }, patience, time.Millisecond, "another primary than %q", not)
		return name
	}
	goose := next("")
	for i := range 20 {
		// One connection asks until it ends: all its answers are of one server.
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		long := p.Command("psql", "-h", "127.0.0.1", "-p", port, "-U", "test", "-d", "postgres", "-XAtq")
		long.Stdin = strings.NewReader(strings.Repeat("SELECT name FROM who; SELECT pg_sleep(0.01);\n", 1000))
		out, err := long.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, long.Start())
		answers := bufio.NewScanner(out)
		require.True(t, answers.Scan(), "it is connected: %v", answers.Err())

		agents[goose].kill()
		killed := time.Now()
		now := next(goose)
		t.Logf("%2d %s -> %s after %v", i+1, goose, now, time.Since(killed).Round(time.Millisecond))
		for range 5 {
			require.Equal(t, now, who(), "the proxy went back")
		}
		for ok := true; ok; ok = answers.Scan() {
			if line := answers.Text(); line != "" { // pg_sleep's
				require.Equal(t, goose, line, "one connection, two primaries")
			}
		}
		require.Error(t, long.Wait(), "its goose is gone")
		agents[goose].start(t)
		require.Eventually(t, func() bool { // else a third kill would end the majority
			s, err := agentclient.New(agents[goose].socket).Status(ctx)
			return err == nil && s.Goose != nil && len(s.Warnings) == 0
		}, patience, 10*time.Millisecond, "%s is back", goose)
		cancel()
		goose = now
	}
}
