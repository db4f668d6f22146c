package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/check"
)

// writers are the processes that work for the goose, one beside each agent.
type writers struct {
	spawn   *flock.Spawner
	command func(WriterOptions) *exec.Cmd
	seq     *sequence
	flockID func() string
	log     string // the file of their errors

	mu      sync.Mutex // guards what follows
	all     map[string]*writer
	started int
	died    []string // writers that ended by themselves
}

// writer is one of these processes.
type writer struct {
	o      WriterOptions
	holder string
	cmd    *exec.Cmd
	stdin  io.Closer
	gone   chan struct{}

	mu    sync.Mutex    // guards what follows
	ended time.Duration // since when it does not count: it was killed, or told to end
	token uint64        // the last one that it was handed
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

// hear passes on a writer's lines, until it has ended.
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
		ws.seq.push(check.Event{
			At: line.At, Kind: kinds[line.Kind], Flock: ws.flockID(), Token: line.Token, Until: line.Until, Mark: line.Mark, Holder: w.holder,
		})
	}
}

func (ws *writers) of(name string) *writer {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.all[name]
}

// kill kills an agent's writer and starts the next. The killed one counts until the
// signal: the agent may learn of its death before this process does.
func (ws *writers) kill(name string) error {
	w := ws.of(name)
	w.mu.Lock()
	w.ended = boottime.Now()
	w.mu.Unlock()
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-w.gone // and all its lines have been read
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
		_ = w.stdin.Close() // the sign to end
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

// WriterOptions are the settings of a writer.
type WriterOptions struct {
	Name   string // the agent's
	Socket string
	Fence  string // path of the fenced file
	Flock  string // the flock's id
	Every  time.Duration
}

// word is one line of a writer. Times are CLOCK_BOOTTIME.
type word struct {
	Kind  string        `json:"kind"`
	At    time.Duration `json:"at"`
	Token uint64        `json:"token"`
	Until time.Duration `json:"until,omitempty"`
	Mark  uint64        `json:"mark,omitempty"`
}

const (
	handed  = "handed"  // it may act until Until
	drained = "drained" // it acts no more
	began   = "began"   // it begins to act, and knows Mark as committed
	raised  = "raised"  // it has raised the mark to Mark
)

// kinds are what the checker sees of what writers tell.
var kinds = map[string]check.Kind{handed: check.HandedOut, drained: check.Drained, began: check.Began, raised: check.Raised}

// Write works for one agent whenever that is the goose, until ctx ends: it writes to
// the fenced file, and reports its deadlines. It runs in a process of its own, so that
// it can be stopped and killed.
func Write(ctx context.Context, o WriterOptions, out io.Writer) error {
	f, err := openFenced(o.Fence, o.Flock)
	if err != nil {
		return err
	}
	defer f.close()
	c := client.New(o.Socket)
	c.Wait = time.Hour // the agent may not have started yet
	w := &writing{o: o, fenced: f, out: json.NewEncoder(out)}
	err = c.Lead(ctx, w.work)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type writing struct {
	o      WriterOptions
	fenced *fenced
	saying sync.Mutex // guards out
	out    *json.Encoder
}

func (w *writing) work(ctx context.Context, lease lead.Lease) error {
	if err := w.say(word{Kind: began, At: boottime.Now(), Token: lease.Token(), Mark: lease.Mark()}); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	var raising sync.WaitGroup
	defer raising.Wait()
	defer end()
	raising.Go(func() { w.raise(ctx, lease) })
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	var told time.Duration
	for {
		before := boottime.Now()
		left := lease.Until()
		now := boottime.Now()
		if left > 0 {
			// The lease was read at some moment between the two, so at least this was
			// handed out.
			if until := before + left; until > told+time.Millisecond {
				told = until
				if err := w.say(word{Kind: handed, At: now, Token: lease.Token(), Until: until}); err != nil {
					return err
				}
			}
			if err := w.act(ctx, lease.Token(), before); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			// This comes before the agent hears of it: from then on another may be the
			// goose.
			return w.say(word{Kind: drained, At: boottime.Now(), Token: lease.Token()})
		case <-tick.C:
		}
	}
}

// raise raises the mark by one, again and again, until ctx ends.
func (w *writing) raise(ctx context.Context, lease lead.Lease) {
	for next := lease.Mark() + 1; flock.Sleep(ctx, w.o.Every) == nil; {
		switch err := lease.Advance(ctx, next); {
		case err == nil:
			if w.say(word{Kind: raised, At: boottime.Now(), Token: lease.Token(), Mark: next}) != nil {
				return // the soak is gone
			}
			next++
		case errors.Is(err, lead.ErrTaken):
			next++
		}
	}
}

// act waits for a while between the check and the write: a pause there is the most
// dangerous.
func (w *writing) act(ctx context.Context, token uint64, checked time.Duration) error {
	if flock.Sleep(ctx, rand.N(w.o.Every)) != nil {
		return nil
	}
	err := w.fenced.write(ctx, attempt{Writer: w.o.Name, Token: token, Checked: int64(checked)})
	if errors.Is(err, errBusy) {
		return nil
	}
	return err
}

func (w *writing) say(line word) error {
	w.saying.Lock()
	defer w.saying.Unlock()
	if err := w.out.Encode(line); err != nil {
		return fmt.Errorf("tell the soak: %w", err)
	}
	return nil
}
