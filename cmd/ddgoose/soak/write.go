package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
	"duckduckgoose/cmd/ddgoose/flock"
)

// WriterOptions say what a writer does.
type WriterOptions struct {
	Name   string // the agent's
	Socket string
	Fence  string // path of the fenced file
	Flock  string // the flock's id
	Every  time.Duration
}

// word is one line that a writer tells the soak. Times are CLOCK_BOOTTIME.
type word struct {
	Kind  string        `json:"kind"`
	At    time.Duration `json:"at"`
	Token uint64        `json:"token"`
	Until time.Duration `json:"until,omitempty"`
}

const (
	handed  = "handed"  // it may act until Until
	drained = "drained" // it acts no more
)

// Write acts for one agent whenever that is the goose, until ctx ends: it
// writes to the fenced file, and tells out what it was handed. It is a process
// of its own, so that it can be stopped and killed.
func Write(ctx context.Context, o WriterOptions, out io.Writer) error {
	f, err := openFenced(o.Fence, o.Flock)
	if err != nil {
		return err
	}
	defer f.close()
	c := client.New(o.Socket)
	c.Wait = time.Hour // it may not have started yet
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
	out    *json.Encoder
}

func (w *writing) work(ctx context.Context, lease lead.Lease) error {
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	var told time.Duration
	for {
		before := boottime.Now()
		left := lease.Until()
		now := boottime.Now()
		if left > 0 {
			// The lease was read at some moment between the two: this is the
			// least that was handed out.
			if until := before + left; until > told+time.Millisecond {
				told = until
				if err := w.say(word{handed, now, lease.Token(), until}); err != nil {
					return err
				}
			}
			if err := w.act(ctx, lease.Token(), before); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			// Said before the agent hears of it: from then on another may be the goose.
			return w.say(word{drained, boottime.Now(), lease.Token(), 0})
		case <-tick.C:
		}
	}
}

// act thinks for a while between the check and the write: that is when a pause hurts.
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
	if err := w.out.Encode(line); err != nil {
		return fmt.Errorf("tell the soak: %w", err)
	}
	return nil
}
