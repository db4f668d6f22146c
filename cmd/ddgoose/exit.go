package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"

	"duckduckgoose/agent/api"
	runner "duckduckgoose/cmd/ddgoose/run"
)

// The exit codes of every command.
const (
	exitDone  = 0
	exitError = 1 // one line on stderr
	exitUsage = 2 // wrong usage, or it cannot tell
)

// codedError is an error that chooses the exit code; others give 1.
type codedError struct {
	code int
	err  error // nil: nothing is printed
}

// Error is what is printed.
func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *codedError) Unwrap() error { return e.err }

// usage says that the command line is wrong, and what would be right: exit 2.
func usage(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

// cannotTell says that there is no answer: exit 2.
func cannotTell(err error) error { return &codedError{exitUsage, err} }

// quietly ends with a code, and nothing on stderr.
func quietly(code int) error { return &codedError{code: code} }

// exit prints a command's error in one line, and returns the exit code.
func (env *environment) exit(err error) int {
	defer env.flushStderr()
	if err == nil {
		if err = env.stdout.(*checkedWriter).err; err != nil {
			err = fmt.Errorf("write the answer: %w", err)
		}
	}
	if err == nil {
		return exitDone
	}
	code := exitError
	var coded *codedError
	switch {
	case errors.As(err, &coded):
		code = coded.code
	case !env.running: // cobra refused the command line
		code = exitUsage
	}
	if text := oneLine(withAdvice(err)); text != "" {
		fmt.Fprintln(env.stderr, "ddgoose: "+text)
	}
	return code
}

// untilSignal ends the context at the first signal to stop; the second one ends
// the process at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, runner.StopSignals()...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// oneLine joins the lines of an error that reports several faults at once. It escapes terminal
// commands, because parts of the text may come from the network.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, api.Printable(line))
		}
	}
	return strings.Join(lines, "; ")
}

// checkedWriter keeps the first error of a writer, so that a command whose answer could not be
// written fails.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if c.err == nil {
		c.err = err
	}
	return n, err
}
