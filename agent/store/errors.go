package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// The kinds of an [Error], for errors.Is.
var (
	ErrLocked      = errors.New("data directory is in use")
	ErrCorrupt     = errors.New("state file is damaged")
	ErrMissing     = errors.New("state file is missing")
	ErrVersion     = errors.New("state file is of another format version")
	ErrNotWritable = errors.New("data directory is not writable")
	ErrFull        = errors.New("disk is full")
	ErrLost        = errors.New("data directory was removed or replaced")
	ErrClosed      = errors.New("store is closed")
)

// Error describes a fault of a data directory, in one line for its owner.
type Error struct {
	Kind  error  // ErrLocked, ErrCorrupt, ErrMissing, ErrVersion, ErrNotWritable, ErrFull or ErrLost
	Text  string // what is wrong, and what to do
	PID   int    // ErrLocked: the process that holds the directory; 0: unknown
	Cause error  // the system's error; nil: none
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap lets errors.Is match the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

func lockedError(dir string, pid int, cause error) error {
	who := "another agent"
	if pid > 0 {
		who = fmt.Sprintf("another agent (process %d)", pid)
	}
	return &Error{Kind: ErrLocked, PID: pid, Cause: cause, Text: fmt.Sprintf(
		"data directory %s is in use by %s: stop that one, or start the second agent with --data-dir OTHER", dir, who)}
}

func corruptError(dir string, cause error) error {
	return &Error{Kind: ErrCorrupt, Cause: cause, Text: fmt.Sprintf(
		"%s is damaged in both slots (%v), so what this agent has promised is lost: "+
			"to start it as a new agent, with a new id, empty %s and start it with --join ADDR",
		filepath.Join(dir, StateFile), cause, dir)}
}

func missingError(dir string) error {
	return &Error{Kind: ErrMissing, Text: fmt.Sprintf(
		"%s is missing, but this agent may have been in a flock (%s names others), so what it has promised is lost: "+
			"start it with --join ADDR, and it joins them as a new agent, with a new id",
		filepath.Join(dir, StateFile), filepath.Join(dir, peersName))}
}

func versionError(dir string, version uint32) error {
	return &Error{Kind: ErrVersion, Text: fmt.Sprintf(
		"%s is of format %d, and this ddgoose reads format %d: start the ddgoose that wrote it, or a later one",
		filepath.Join(dir, StateFile), version, formatVersion)}
}

// explain turns a system's error into a line for the user: with a remedy if there is
// one, else with what was being done.
func explain(dir, doing string, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Error{Kind: ErrFull, Cause: err, Text: fmt.Sprintf(
			"no space left on the disk of %s (%s): free some and start the agent again", dir, doing)}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &Error{Kind: ErrNotWritable, Cause: err, Text: fmt.Sprintf(
			"data directory %s is not writable (%v): give it to the user that runs the agent, or choose another with --data-dir DIR", dir, err)}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
