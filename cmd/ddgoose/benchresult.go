package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/cmd/ddgoose/bench"
)

// resultText writes a result for people; measuring returns it.
type (
	resultText = func(io.Writer, bench.Result) error
	measuring  = func(context.Context) (bench.Result, error)
)

// measure lets do measure flocks of these options, and prints the result.
func (o *benchOptions) measure(cmd *cobra.Command, env *environment, text resultText, do measuring) error {
	err := checkTiming(&o.Flock)
	if err != nil {
		return err
	}
	if o.Flock.Binary, o.Flock.Dir, err = flockPlace("ddgoose-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.Flock.Dir)
	o.Flock.LogLevel = "warn"
	if err := o.Flock.Check(); err != nil {
		return usage("%w", err)
	}
	return o.tell(cmd, env, text, do)
}

// tell shows the progress of do, and prints its result by text unless as JSON.
func (o *benchOptions) tell(cmd *cobra.Command, env *environment, text resultText, do measuring) (err error) {
	page, err := openReport(o.report)
	if err != nil {
		return usage("report: %w", err)
	}
	defer func() { err = errors.Join(err, page.close()) }()
	bar := newProgress(env)
	bar.last = time.Now()
	o.Progress = func(p bench.Progress) { bar.show(p.Done, "", timeLeft(p.Left, p.Over), p.What) }
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	result, err := do(ctx)
	bar.clear()
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("interrupted: %w", err)
	case err != nil:
		return err
	}
	if o.json {
		err = printJSON(env, result)
	} else {
		err = text(env.stdout, result)
	}
	if page != nil {
		err = errors.Join(err, page.empty(), bench.Page(page, result, cmd.CommandPath(), env.version, time.Now()))
	}
	if broken := result.Breaches(); err == nil && len(broken) > 0 {
		return fmt.Errorf("a promise was broken %d times: %s", len(broken), broken[0])
	}
	return err
}

// reportFile is the file of a report. It stays as it was until there is something to write.
type reportFile struct {
	*os.File
	made    bool // it was not there before
	written bool
}

// openReport finds out before a bench whether its report can be written. It returns nil for no path.
func openReport(path string) (*reportFile, error) {
	if path == "" {
		return nil, nil
	}
	_, missing := os.Stat(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	return &reportFile{File: f, made: missing != nil}, err
}

// empty removes what an older report has left, before the first write.
func (f *reportFile) empty() error {
	f.written = true
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Truncate(0)
}

// close removes a file that was made and not written.
func (f *reportFile) close() error {
	if f == nil {
		return nil
	}
	if f.made && !f.written {
		_ = os.Remove(f.Name())
	}
	return f.Close()
}
