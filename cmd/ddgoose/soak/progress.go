package soak

import (
	"context"
	"fmt"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
)

// Progress is how it goes.
type Progress struct {
	Phase     string // starting, striking or healing
	Done, For time.Duration
	Goose     string
	Token     uint64
	Struck    int
	Periods   int
	Broken    int // promises
	Crashes   int
	News      []string // violations and crashes since the last time
}

func (r *run) tellProgress(ctx context.Context) {
	if r.o.Progress == nil {
		return
	}
	var last Progress
	flock.Every(ctx, time.Second, func() {
		last = r.progress(&last)
		r.o.Progress(last)
	})
}

func (r *run) progress(last *Progress) Progress {
	found := r.seq.found()
	p := Progress{For: r.o.For, Broken: len(found)}
	for _, v := range found[last.Broken:] {
		p.News = append(p.News, r.observer.named(v.Error()))
	}
	p.Goose, p.Token = r.observer.goose()
	_, _, p.Periods = r.seq.counts()
	r.driver.mu.Lock()
	p.Crashes = len(r.driver.crashes)
	for _, c := range r.driver.crashes[last.Crashes:] {
		p.News = append(p.News, fmt.Sprintf("crash of %s at %v: %s", c.Agent, (c.At-r.start).Round(time.Millisecond), c.How))
	}
	for _, s := range r.driver.struck {
		if s.Skipped == "" {
			p.Struck++
		}
	}
	r.driver.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Phase = r.phase
	if r.striking != 0 {
		p.Done = min(boottime.Now()-r.striking, r.o.For)
	}
	return p
}
