package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/check"
)

// writers are the processes that act for the agents, one for each.
type writers struct {
	spawn   *flock.Spawner
	command func(WriterOptions) *exec.Cmd
	seq     *sequence
	flockID func() string
	log     string // where they complain

	mu      sync.Mutex // guards what follows
	all     map[string]*writer
	started int
	died    []string // writers that ended by themselves
}

// writer is one such process.
type writer struct {
	o      WriterOptions
	holder string
	cmd    *exec.Cmd
	stdin  io.Closer
	gone   chan struct{}

	mu    sync.Mutex    // guards what follows
	ended time.Duration // since when nothing of it counts: it was killed, or told to end
	token uint64        // handed to it last
}

// start starts the writer of an agent.
func (ws *writers) start(o WriterOptions) error {
	cmd := ws.command(o)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	complaints, err := os.OpenFile(ws.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the writers' log: %w", err)
	}
	defer complaints.Close()
	cmd.Stderr = complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ws.spawn.Start(cmd); err != nil {
		return fmt.Errorf("start the writer of %s: %w", o.Name, err)
	}
	w := &writer{o: o, cmd: cmd, stdin: stdin, gone: make(chan struct{})}
	ws.mu.Lock()
	w.holder = fmt.Sprintf("the writer of %s (%d)", o.Name, ws.started)
	ws.started++
	ws.all[o.Name] = w
	ws.mu.Unlock()
	go func() {
		defer close(w.gone)
		ws.hear(w, stdout)
		err := cmd.Wait()
		w.mu.Lock()
		expected := w.ended != 0
		w.mu.Unlock()
		if !expected {
			ws.mu.Lock()
			ws.died = append(ws.died, fmt.Sprintf("%s ended: %v", w.holder, err))
			ws.mu.Unlock()
		}
	}()
	return nil
}

// hear passes on what a writer tells, until it has ended.
func (ws *writers) hear(w *writer, from io.Reader) {
	lines := json.NewDecoder(from)
	for {
		var line word
		if lines.Decode(&line) != nil {
			return
		}
		w.mu.Lock()
		dead := w.ended != 0 && line.At >= w.ended && line.Kind == handed
		w.token = line.Token
		w.mu.Unlock()
		if dead {
			continue
		}
		e := check.Event{At: line.At, Kind: check.HandedOut, Flock: ws.flockID(), Token: line.Token, Until: line.Until, Holder: w.holder}
		if line.Kind == drained {
			e.Kind = check.Drained
		}
		ws.seq.push(e)
	}
}

func (ws *writers) of(name string) *writer {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.all[name]
}

// kill kills an agent's writer, and starts the next. From the moment of the
// signal on nothing of it counts: the agent may learn of its death before we do.
func (ws *writers) kill(name string) error {
	w := ws.of(name)
	w.mu.Lock()
	w.ended = boottime.Now()
	w.mu.Unlock()
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-w.gone // and all it told has been heard
	if w.token != 0 {
		ws.seq.push(check.Event{At: w.ended, Kind: check.Drained, Flock: ws.flockID(), Token: w.token, Holder: w.holder})
	}
	return ws.start(w.o)
}

func (ws *writers) signal(name string, sig os.Signal) error {
	return ws.of(name).cmd.Process.Signal(sig)
}

// close ends all writers: their agents step down.
func (ws *writers) close(limit time.Duration) {
	ws.mu.Lock()
	all := ws.all
	ws.all = map[string]*writer{}
	ws.mu.Unlock()
	for _, w := range all {
		w.mu.Lock()
		if w.ended == 0 {
			w.ended = 1<<63 - 1
		}
		w.mu.Unlock()
		_ = w.stdin.Close() // its sign to end
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, w := range all {
		select {
		case <-w.gone:
		case <-timer.C:
			timer.Reset(0)
			_ = w.cmd.Process.Kill()
			<-w.gone
		}
	}
	ws.spawn.Close()
}
