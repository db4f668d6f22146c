//go:build linux

package run

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/boottime"
)

// child is what run runs in the tests. Each process of it writes into
// DIR/records when it begins, and every few milliseconds that it lives:
//
//	WHAT WORK PID BOOTTIME AGENT TOKEN
//
// WORK names one start of the command: its processes hold one lock (flock(2)) on DIR/work-WORK that
// the kernel drops when the last of them is gone. A new one that finds another's
// held says "overlap:" and whose. Arguments: stubborn (ignores SIGTERM), crowd=N (more
// processes, which write nothing), env=PATH of the
// environment file that a container is given, or code=N to end at once.
func child(dir string, args []string) int {
	if slices.Contains(args, "stubborn") {
		signal.Ignore(syscall.SIGTERM)
	}
	for _, arg := range args {
		if code, is := strings.CutPrefix(arg, "code="); is {
			n, err := strconv.Atoi(code)
			if err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
			}
			return n
		}
		path, is := strings.CutPrefix(arg, "env=")
		if !is {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			return 99
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if err := os.Setenv(name, value); err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
				return 99
			}
		}
	}
	if err := live(dir, args); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 99
	}
	return 0
}

func live(dir string, args []string) error {
	out, err := os.OpenFile(filepath.Join(dir, "records"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	work := os.Getenv("DDGOOSE_TEST_WORK")
	note := func(what string) error {
		_, err := fmt.Fprintf(out, "%s %s %d %d %s %s\n", what, work, os.Getpid(), boottime.Now(), os.Getenv("DDGOOSE_NAME"), os.Getenv("DDGOOSE_TOKEN"))
		return err
	}
	if work == "" {
		work = fmt.Sprintf("%s-%d-%d", os.Getenv("DDGOOSE_TOKEN"), os.Getpid(), boottime.Now())
		if err := os.Setenv("DDGOOSE_TEST_WORK", work); err != nil {
			return err
		}
		lock, err := os.OpenFile(filepath.Join(dir, "work-"+work), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			return err
		}
		others, err := othersAlive(dir, work)
		if err != nil {
			return err
		}
		for _, other := range others {
			if err := note("overlap:" + other); err != nil {
				return err
			}
		}
		if err := spread(lock, args); err != nil {
			return err
		}
		for _, arg := range args {
			if n, is := strings.CutPrefix(arg, "crowd="); is {
				if err := startCrowd(lock, n); err != nil {
					return err
				}
			}
		}
	} else if slices.Contains(args, "twice") {
		// The middle one of a double fork: it ends, and its child is an orphan.
		return again(os.NewFile(3, "lock"), []string{"leaf"}, true)
	}
	if err := note("start"); err != nil {
		return err
	}
	for {
		time.Sleep(5 * time.Millisecond)
		if err := note("alive"); err != nil {
			return err
		}
	}
}

// othersAlive names the works of which some process lives.
func othersAlive(dir, own string) (alive []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "work-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if filepath.Base(path) == "work-"+own {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if os.IsNotExist(err) {
			continue // another start was faster
		}
		if err != nil {
			return nil, err
		}
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			_ = os.Remove(path) // it has ended for good
		case unix.EWOULDBLOCK:
			alive = append(alive, strings.TrimPrefix(filepath.Base(path), "work-"))
		default:
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return alive, nil
}

// spread starts a child in the group, one in a session of its own, and one that
// a double fork makes an orphan; they hold the lock, too.
func spread(lock *os.File, args []string) error {
	stubborn := slices.Contains(args, "stubborn")
	for _, kind := range []string{"plain", "session", "twice"} {
		more := []string{kind}
		if stubborn {
			more = append(more, "stubborn")
		}
		if err := again(lock, more, kind != "plain"); err != nil {
			return err
		}
	}
	return nil
}

// crowdSessions is how many sessions a crowd has, each with a tree of its own.
const crowdSessions = 10

// startCrowd starts so many shells, which hold the lock and wait for ever, and returns
// when all are there.
func startCrowd(lock *os.File, n string) error {
	never, open, err := os.Pipe()
	if err != nil {
		return err
	}
	ready, say, err := os.Pipe()
	if err != nil {
		return err
	}
	for range crowdSessions {
		cmd := exec.Command("sh", "-c", `i=1; while [ $i -lt $(($1 / $2)) ]; do (read x <&4) & i=$((i+1)); done; echo >&6; read x <&4`, "sh", n, strconv.Itoa(crowdSessions))
		cmd.ExtraFiles = []*os.File{lock, never, open, say}
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(ready, make([]byte, crowdSessions))
	return err
}

// again starts this program as a descendant, and does not wait for it.
func again(lock *os.File, args []string, session bool) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.ExtraFiles = []*os.File{lock}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	return cmd.Start()
}

// record is one line of a child.
type record struct {
	what, work string
	pid        int
	at         time.Duration
	agent      string
	token      uint64
}

// journal reads what the children write, as it grows.
type journal struct {
	path    string
	offset  int64
	records []record
}

// read takes in the whole lines that are new.
func (j *journal) read() error {
	f, err := os.Open(j.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, j.offset, math.MaxInt64-j.offset))
	if err != nil {
		return err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	j.offset += int64(len(text))
	for line := range strings.Lines(string(text)) {
		r, err := parseRecord(line)
		if err != nil {
			return fmt.Errorf("record %q: %w", line, err)
		}
		j.records = append(j.records, r)
	}
	return nil
}

func parseRecord(line string) (r record, err error) {
	_, err = fmt.Sscanf(line, "%s %s %d %d %s %d\n", &r.what, &r.work, &r.pid, &r.at, &r.agent, &r.token)
	return r, err
}
