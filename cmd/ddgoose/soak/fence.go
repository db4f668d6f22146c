package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/boottime"
)

// fence is the fenced resource: a file that keeps the highest token it has
// seen and refuses a lower one, whoever writes. It is judged under flock(2),
// and every attempt goes into a journal.
type fence struct {
	state, journal *os.File
}

// attempt is one line of the journal. Times are CLOCK_BOOTTIME in nanoseconds.
type attempt struct {
	Writer  string `json:"writer"`
	Token   uint64 `json:"token"`
	Checked int64  `json:"checked"` // when the writer last saw that its lease was valid
	At      int64  `json:"at"`
	Highest uint64 `json:"highest"` // before this attempt
	OK      bool   `json:"ok"`
	Count   uint64 `json:"count"` // accepted so far, this one included
}

// errBusy says that another writer has the file at this moment.
var errBusy = errors.New("the fenced file is in use")

func openFence(path string) (*fence, error) {
	state, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the fenced file: %w", err)
	}
	journal, err := os.OpenFile(journalOf(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open its journal: %w", err), state.Close())
	}
	return &fence{state, journal}, nil
}

func journalOf(path string) string { return path + ".journal" }

func (f *fence) close() error { return errors.Join(f.state.Close(), f.journal.Close()) }

// write tries to write once under a token.
func (f *fence) write(a attempt) (attempt, error) {
	// A writer may be stopped while it has the lock: nobody waits for it.
	if err := lockFile(f.state); err != nil {
		return a, err
	}
	defer unix.Flock(int(f.state.Fd()), unix.LOCK_UN)
	if _, err := fmt.Fscan(io.NewSectionReader(f.state, 0, 64), &a.Highest, &a.Count); err != nil && !errors.Is(err, io.EOF) {
		return a, fmt.Errorf("read the fenced file: %w", err)
	}
	a.At, a.OK = int64(boottime.Now()), a.Token >= a.Highest
	if a.OK {
		a.Count++
		if _, err := f.state.WriteAt(fmt.Appendf(nil, "%20d %20d\n", a.Token, a.Count), 0); err != nil {
			return a, fmt.Errorf("write the fenced file: %w", err)
		}
	}
	line, err := json.Marshal(a)
	if err != nil {
		return a, err
	}
	if _, err := f.journal.Write(append(line, '\n')); err != nil {
		return a, fmt.Errorf("write the journal: %w", err)
	}
	return a, nil
}

func lockFile(f *os.File) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return errBusy
	case err != nil:
		return fmt.Errorf("lock the fenced file: %w", err)
	}
	return nil
}

// History is what the journal of the fenced file tells.
type History struct {
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"` // writers that were stopped between check and act: the tokens' job
	Tokens   int `json:"tokens"`  // that wrote
	// Broken tells what must never be.
	Broken []string `json:"broken"`
}

// readHistory checks the journal: tokens grow, each is one writer's, no accepted
// write is lost, and nobody believed to be the goose once a higher token had written.
func readHistory(path string, start time.Duration) (*historian, error) {
	file, err := os.Open(journalOf(path))
	if errors.Is(err, os.ErrNotExist) {
		return &historian{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer file.Close()
	h := &historian{start: start, writers: map[uint64]string{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		h.take(&a)
	}
	h.Tokens = len(h.writers)
	return h, lines.Err()
}

// historian reads attempts in the order of the journal.
type historian struct {
	History
	start   time.Duration // of the run: what is told counts from it
	writers map[uint64]string
	highest uint64
	since   int64 // when the highest token wrote first
}

func (h *historian) take(a *attempt) {
	bad := func(format string, args ...any) {
		if len(h.Broken) < maxViolations {
			h.Broken = append(h.Broken, fmt.Sprintf(format, args...))
		}
	}
	if a.Highest != h.highest {
		bad("the file's highest token was %d, and %d had written", a.Highest, h.highest)
	}
	if a.Token < h.highest && a.Checked > h.since {
		bad("%s held a valid lease of token %d at %v, after token %d had written at %v",
			a.Writer, a.Token, time.Duration(a.Checked)-h.start, h.highest, time.Duration(h.since)-h.start)
	}
	if !a.OK {
		h.Refused++
		if a.Token >= h.highest {
			bad("token %d of %s was refused, and the highest was %d", a.Token, a.Writer, h.highest)
		}
		return
	}
	h.Accepted++
	if a.Token < h.highest {
		bad("token %d of %s was accepted after token %d", a.Token, a.Writer, h.highest)
	}
	if a.Count != uint64(h.Accepted) {
		bad("the file counts %d writes, the journal %d", a.Count, h.Accepted)
	}
	if other, known := h.writers[a.Token]; known && other != a.Writer {
		bad("token %d was %s's and %s's", a.Token, other, a.Writer)
	}
	h.writers[a.Token] = a.Writer
	if a.Token > h.highest {
		h.highest, h.since = a.Token, a.At
	}
}
