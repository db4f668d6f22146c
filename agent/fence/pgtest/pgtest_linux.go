package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Programs are those of the newest PostgreSQL of this machine.
type Programs struct {
	Dir  string // for data and sockets; removed with the test
	bin  string
	cred *syscall.Credential // nil: our own user, who is not root
}

// Find finds them. It skips the test where there are none, and where extra tests are
// not asked for.
func Find(t *testing.T) *Programs {
	t.Helper()
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: this starts a PostgreSQL server; set DDGOOSE_TEST_EXTRA to run it")
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	must(t, err)
	if len(found) == 0 {
		t.Skip("SKIPPED: no PostgreSQL here: apt-get install postgresql")
	}
	p := &Programs{bin: filepath.Dir(slices.Max(found))}
	p.Dir, err = os.MkdirTemp("", "ddpg") // short: sockets go there
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(p.Dir)) })
	if os.Geteuid() == 0 { // it refuses to run as root
		u, err := user.Lookup("nobody")
		must(t, err)
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		must(t, err)
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		must(t, err)
		p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		must(t, os.Chown(p.Dir, int(uid), int(gid)))
	}
	return p
}

// Command is one of the programs, which ends with the test program.
func (p *Programs) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Init makes the data of a server, whose user is test.
func (p *Programs) Init(t *testing.T, data string) {
	t.Helper()
	if out, err := p.Command("initdb", "-D", data, "-U", "test", "-A", "trust", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
