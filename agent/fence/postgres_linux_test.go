package fence_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a PostgreSQL of our own, on a unix socket in a folder of its own.
type server struct {
	t    *testing.T
	dir  string
	bin  string
	cred *syscall.Credential // nil: our own user, who is not root
}

// newServer starts Debian's PostgreSQL; it skips where there is none.
func newServer(t *testing.T) *server {
	t.Helper()
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: this starts a PostgreSQL server; set DDGOOSE_TEST_EXTRA to run it")
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	if len(found) == 0 {
		t.Skip("SKIPPED: no PostgreSQL here: apt-get install postgresql")
	}
	slices.Sort(found)
	s := &server{t: t, bin: filepath.Dir(found[len(found)-1])}
	s.dir, err = os.MkdirTemp("", "ddpg") // short: a socket goes there
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(s.dir)) })
	if os.Geteuid() == 0 { // it refuses to run as root
		u, err := user.Lookup("nobody")
		require.NoError(t, err)
		uid, err := strconv.Atoi(u.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(u.Gid)
		require.NoError(t, err)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(s.dir, uid, gid))
	}
	s.must(s.command("initdb", "-D", s.dir+"/data", "-U", "test", "-A", "trust", "--no-sync"))
	server := s.command("postgres", "-D", s.dir+"/data", "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off")
	log, err := os.Create(filepath.Join(s.dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		require.NoError(t, server.Process.Signal(syscall.SIGINT)) // fast shutdown
		require.NoError(t, server.Wait())
	})
	require.Eventually(t, func() bool { return s.command("pg_isready", "-h", s.dir).Run() == nil }, time.Minute, 20*time.Millisecond)
	return s
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (s *server) must(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s: %s", cmd, out)
	return strings.TrimSpace(string(out))
}

func (s *server) psql(args ...string) *exec.Cmd {
	return s.command("psql", append([]string{"-h", s.dir, "-U", "test", "-d", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1"}, args...)...)
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
