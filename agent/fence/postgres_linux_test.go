package fence_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/fence/pgtest"
)

// server is a PostgreSQL of our own, on a unix socket in a folder of its own.
type server struct {
	*pgtest.Programs
	t *testing.T
}

// newServer starts Debian's PostgreSQL; it skips where there is none.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{pgtest.Find(t), t}
	s.Init(t, s.Dir+"/data")
	server := s.Command("postgres", "-D", s.Dir+"/data", "-k", s.Dir, "-c", "listen_addresses=", "-c", "fsync=off")
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Signal(syscall.SIGINT)) // fast shutdown
		require.NoError(t, server.Wait())
	})
	require.Eventually(t, func() bool { return s.Command("pg_isready", "-h", s.Dir).Run() == nil }, time.Minute, 20*time.Millisecond)
	return s
}

func (s *server) must(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s: %s", cmd, out)
	return strings.TrimSpace(string(out))
}

func (s *server) psql(args ...string) *exec.Cmd {
	return s.Command("psql", append([]string{"-h", s.Dir, "-U", "test", "-d", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1"}, args...)...)
}

// act is a transaction of a goose.
func (s *server) act(flock string, token uint64, what string) (string, error) {
	cmd := s.psql("-v", "VERBOSITY=verbose")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("BEGIN; SELECT fence('reports', '%s', %d); %s; COMMIT;", flock, token, what))
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// conversation is a psql that is told one line at a time.
type conversation struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

func (s *server) converse() *conversation {
	cmd := s.psql()
	in, err := cmd.StdinPipe()
	require.NoError(s.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(s.t, cmd.Start())
	return &conversation{t: s.t, in: in, out: bufio.NewReader(out), cmd: cmd}
}

func (c *conversation) say(sql string) {
	_, err := io.WriteString(c.in, sql+"\n")
	require.NoError(c.t, err)
}

// hear reads up to a line that says so.
func (c *conversation) hear(until string) {
	c.t.Helper()
	c.say(`\echo ` + until)
	for {
		line, err := c.out.ReadString('\n')
		require.NoError(c.t, err)
		if strings.TrimSpace(line) == until {
			return
		}
	}
}

func (c *conversation) end() (string, error) {
	require.NoError(c.t, c.in.Close())
	var rest bytes.Buffer
	_, err := io.Copy(&rest, c.out)
	require.NoError(c.t, err)
	return rest.String(), c.cmd.Wait()
}

func TestPostgreSQLRecipe(t *testing.T) {
	s := newServer(t)
	recipe, err := os.ReadFile("postgres.sql")
	require.NoError(t, err)
	setUp := s.psql()
	setUp.Stdin = bytes.NewReader(append(recipe, "CREATE TABLE report (day int, token bigint);"...))
	s.must(setUp)
	reports := func() string {
		return s.must(s.psql("-c", "SELECT string_agg(token::text, ' ' ORDER BY day) FROM report"))
	}

	for day, token := range []uint64{7, 7, 9, 1<<53 - 1} {
		out, err := s.act("c0", token, fmt.Sprintf("INSERT INTO report VALUES (%d, %d)", day, token))
		require.NoError(t, err, out)
	}
	require.Equal(t, "7 7 9 9007199254740991", reports())

	out, err := s.act("c0", 9, "INSERT INTO report VALUES (9, 9)")
	require.Error(t, err)
	require.Contains(t, out, "55F01")
	require.Contains(t, out, "token 9 of flock c0 is refused: token 9007199254740991 of flock c0 has been seen")
	out, err = s.act("d1", 1<<53, "INSERT INTO report VALUES (9, 9)")
	require.Error(t, err)
	require.Contains(t, out, "of flock d1 is refused")
	require.Equal(t, "7 7 9 9007199254740991", reports(), "nothing of what was refused")

	s.must(s.psql("-c", "TRUNCATE fence, report"))
	// An old transaction is under way when the new goose comes: it is waited for.
	old := s.converse()
	old.say("BEGIN; SELECT fence('reports', 'c0', 5); INSERT INTO report VALUES (1, 5);")
	old.hear("begun")
	newer := s.converse()
	newer.say("BEGIN; SELECT fence('reports', 'c0', 7); INSERT INTO report VALUES (2, 7); COMMIT;")
	require.Eventually(t, func() bool {
		return s.must(s.psql("-c", "SELECT count(*) FROM pg_locks WHERE NOT granted")) == "1"
	}, time.Minute, 10*time.Millisecond)
	require.Empty(t, reports())
	old.say("COMMIT;")
	out, err = old.end()
	require.NoError(t, err, out)
	out, err = newer.end()
	require.NoError(t, err, out)
	require.Equal(t, "5 7", reports(), "in order")

	// A new one is under way, and the old goose wakes up: it waits, and is refused.
	newer = s.converse()
	newer.say("BEGIN; SELECT fence('reports', 'c0', 8); INSERT INTO report VALUES (3, 8);")
	newer.hear("begun")
	old = s.converse()
	old.say("BEGIN; SELECT fence('reports', 'c0', 7); INSERT INTO report VALUES (4, 7); COMMIT;")
	require.Eventually(t, func() bool {
		return s.must(s.psql("-c", "SELECT count(*) FROM pg_locks WHERE NOT granted")) == "1"
	}, time.Minute, 10*time.Millisecond)
	newer.say("COMMIT;")
	out, err = newer.end()
	require.NoError(t, err, out)
	out, err = old.end()
	require.Error(t, err)
	require.Contains(t, out, "token 7 of flock c0 is refused")
	require.Equal(t, "5 7 8", reports())
}
