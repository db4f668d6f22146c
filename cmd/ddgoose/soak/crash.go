package soak

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

const (
	// crashLook is the pause between two checks of the processes.
	crashLook = 200 * time.Millisecond
	// maxCrashes ends a run in which an agent dies at every start.
	maxCrashes = 50
	// logTail is how much of the log a crash report has, in bytes.
	logTail = 16 << 10
)

// guard restarts processes that ended by themselves, and reports them.
func (d *driver) guard(ctx context.Context) {
	flock.Every(ctx, crashLook, func() {
		for _, a := range d.f.Agents() {
			d.mu.Lock()
			harmed, many := d.harmed[a.Name] != "", len(d.crashes) >= maxCrashes
			d.mu.Unlock()
			if harmed || many || a.Running() {
				continue
			}
			how := "it ended by itself"
			if err := a.Exit(); err != nil {
				how = err.Error()
			}
			d.crashed(a, how)
			if err := d.f.Start(a.Name); err != nil && !errors.Is(err, flock.ErrRuns) {
				d.crashed(a, "it cannot be started again: "+err.Error())
			}
		}
	})
}

func (d *driver) crashed(a *flock.Agent, how string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashes = append(d.crashes, Crash{Agent: a.Name, At: boottime.Now(), How: how, Log: tail(a.Log)})
}

// tail returns the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(len(text)-logTail, 0):]))
}
