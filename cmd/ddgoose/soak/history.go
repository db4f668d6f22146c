package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/fence"
)

// fenced is the resource that every goose writes to: a journal behind a fence.
type fenced struct {
	fence   fence.File
	journal *os.File
}

// attempt is one line of the journal. Times are CLOCK_BOOTTIME in nanoseconds.
type attempt struct {
	Writer  string `json:"writer"`
	Token   uint64 `json:"token"`
	Checked int64  `json:"checked"` // when the writer last saw that its lease was valid
	At      int64  `json:"at"`
	Highest uint64 `json:"highest,omitempty"` // the token because of which it was refused
}

// fencePatience is how long a writer waits for another one.
const fencePatience = 10 * time.Millisecond

// errBusy says that another writer is writing.
var errBusy = errors.New("another one writes")

func openFenced(path, flockID string) (*fenced, error) {
	journal, err := os.OpenFile(journalOf(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the fenced journal: %w", err)
	}
	return &fenced{fence.File{Path: path, FlockID: flockID}, journal}, nil
}

func journalOf(path string) string { return path + ".journal" }

func (f *fenced) close() error { return f.journal.Close() }

// write appends a line under a token, or records that the fence refused it.
func (f *fenced) write(ctx context.Context, a attempt) error {
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	entry, err := f.fence.Enter(ctx, a.Token)
	var stale *fence.StaleError
	switch {
	case errors.As(err, &stale):
		a.Highest = stale.Highest
	case err != nil && ctx.Err() != nil:
		return errBusy
	case err != nil:
		return err
	default:
		defer entry.Close() // once the line is written
	}
	a.At = int64(boottime.Now())
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if _, err := f.journal.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the fenced journal: %w", err)
	}
	return nil
}

// History summarises the journal.
type History struct {
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"` // writers that were stopped between check and write
	Tokens   int `json:"tokens"`  // tokens with at least one write
	// Broken lists what must never happen.
	Broken []string `json:"broken"`
}

// readHistory checks the journal: accepted tokens grow, each belongs to one writer, and
// no writer thought it was the goose after a higher token had written.
func readHistory(path string, start time.Duration) (*journalReader, error) {
	file, err := os.Open(journalOf(path))
	if errors.Is(err, os.ErrNotExist) {
		return &journalReader{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer file.Close()
	h := &journalReader{start: start, writers: map[uint64]string{}}
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

// journalReader reads the lines of the journal in order.
type journalReader struct {
	History
	start   time.Duration // of the run; reported times count from it
	writers map[uint64]string
	highest uint64 // accepted token
	since   int64  // its first write
}

func (h *journalReader) take(a *attempt) {
	bad := func(format string, args ...any) {
		if len(h.Broken) < maxViolations {
			h.Broken = append(h.Broken, fmt.Sprintf(format, args...))
		}
	}
	if a.Token < h.highest && a.Checked > h.since {
		bad("%s held a valid lease of token %d at %v, after token %d had written at %v",
			a.Writer, a.Token, time.Duration(a.Checked)-h.start, h.highest, time.Duration(h.since)-h.start)
	}
	if a.Highest != 0 {
		h.Refused++
		if a.Token >= a.Highest {
			bad("token %d of %s was refused because of token %d", a.Token, a.Writer, a.Highest)
		}
		return
	}
	h.Accepted++
	if a.Token < h.highest {
		bad("token %d of %s was accepted after token %d", a.Token, a.Writer, h.highest)
	}
	if other, known := h.writers[a.Token]; known && other != a.Writer {
		bad("token %d was %s's and %s's", a.Token, other, a.Writer)
	}
	h.writers[a.Token] = a.Writer
	if a.Token > h.highest {
		h.highest, h.since = a.Token, a.At
	}
}
