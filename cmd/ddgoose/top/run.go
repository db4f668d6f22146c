// Package top is the live screen of a flock, for a terminal.
//
//	Source ── Picture ──> model ── view ──> lines ──> terminal
//	              keys ────^
//
// Model and view do no I/O: the screen depends only on the pictures, the keys pressed and
// the window's size. [Run] takes pictures, reads keys, asks the agent that is looked into,
// and draws.
package top

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/gdamore/tcell/v3"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

// Source makes the pictures.
type Source interface {
	// Take returns the flock as it is now, and a channel that is closed when it
	// changes.
	Take() (p Picture, changed <-chan struct{})
	// Client talks to an agent; nil: its socket is not on this machine.
	Client(name string) *client.Client
}

// Options are the options of [Run].
type Options struct {
	Source Source
	Colour bool
	Ends   string                    // what quitting does, in a word or two; "" is "quit"
	Hints  func(goose string) []Hint // commands to try; nil: none
	// Over returns an error when the screen should end; nil: never.
	Over    func(p *Picture) error
	Actions []Action // what keys do to the flock; nil: nothing
	// Status and Why write an agent's answers for people.
	Status func(s api.Status) string
	Why    func(w *api.Why) string

	tty tcell.Tty // a test's; nil: the process's own
}

const (
	// drawEvery is how often the screen is drawn without urgent changes.
	drawEvery = 250 * time.Millisecond
	// settle is how long changes are gathered, so that those of one event are shown at once.
	settle = 20 * time.Millisecond
	// askEvery is how often the agent that is looked into is asked, and askWait how
	// long it may take to explain itself.
	askEvery = time.Second
	askWait  = 3 * time.Second
)

// Run shows the screen until the user quits, ctx ends, or Over says so. It restores the
// terminal however it ends.
func Run(ctx context.Context, o Options) error {
	t, err := openTerminal(o.tty, o.Colour)
	if err != nil {
		return err
	}
	defer t.Fini()
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()

	m := &model{glyphs: t.glyphs(), ends: cmp.Or(o.Ends, "quit"), hints: o.Hints, actions: o.Actions}
	draw := func() { t.draw(m.view) }
	var changed <-chan struct{}
	var settled <-chan time.Time
	look := func() (urgent bool, err error) {
		var p Picture
		p, changed = o.Source.Take()
		if o.Over != nil {
			err = o.Over(&p)
		}
		return m.see(p), err
	}
	answers := make(chan answer, 1)
	asked, busy := time.Time{}, false
	question := func() {
		a := m.agent(m.looking)
		if busy || m.frozen != nil || a == nil || !a.Local || a.State != StateUp {
			return
		}
		asked, busy = time.Now(), true
		name, c := m.looking, o.Source.Client(m.looking)
		asking.Go(func() {
			defer Rescue()
			answers <- o.question(ctx, name, c)
		})
	}
	type acted struct {
		what *pending
		err  error
	}
	acts := make(chan acted)
	if _, err := look(); err != nil {
		return err
	}
	draw()
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			changed, settled = nil, time.After(settle)
		case <-settled:
			settled = nil
			urgent, err := look()
			if err != nil {
				return err
			}
			if urgent {
				draw()
			}
		case <-tick.C:
			if _, err := look(); err != nil {
				return err
			}
			if m.looking != "" && time.Since(asked) >= askEvery {
				question()
			}
			draw()
		case a := <-answers:
			busy = false
			m.learn(a)
			if a.name != m.looking && m.looking != "" {
				question() // the screen shows another agent by now
			}
			draw()
		case a := <-acts:
			m.done(a.what, a.err, time.Now())
			draw()
		case ev, open := <-t.EventQ():
			if !open {
				return nil
			}
			switch ev := ev.(type) {
			case *tcell.EventKey:
				switch m.key(keyName(ev)) {
				case quit:
					return nil
				case suspend:
					if err := t.suspend(); err != nil {
						return err
					}
				case redraw:
					t.Sync()
				case ask:
					question()
				case perform:
					what := m.pending
					m.pending = nil
					asking.Go(func() {
						defer Rescue()
						select {
						case acts <- acted{what, what.do(ctx)}:
						case <-ctx.Done():
						}
					})
				}
				draw()
			case *tcell.EventResize:
				draw()
			}
		}
	}
}

// question asks an agent about itself.
func (o *Options) question(ctx context.Context, name string, c *client.Client) answer {
	a := answer{name: name}
	if c == nil {
		a.err = client.ErrNotRunning
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	if a.status, a.err = c.Status(ctx); a.err != nil {
		return a
	}
	a.at, a.told = time.Now(), o.Status(a.status)
	if w, err := c.Why(ctx); err == nil {
		a.whyIs = o.Why(&w)
	}
	return a
}

// suspend restores the terminal and stops until the shell continues this process.
func (t *terminal) suspend() error {
	if err := t.Suspend(); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	return t.Resume()
}
