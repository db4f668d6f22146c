package bench

import (
	"context"
	"sync"
	"sync/atomic"

	"duckduckgoose/cmd/ddgoose/flock"
)

// sampling asks every agent all the time.
type sampling struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	taken  atomic.Int64
}

func startSampling(ctx context.Context, w *watch) *sampling {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampling{cancel: cancel}
	for _, a := range w.f.Agents() {
		s.ended.Go(func() { s.ask(ctx, w.judge, a) })
	}
	return s
}

// stop gives how many answers came.
func (s *sampling) stop() int {
	s.cancel()
	s.ended.Wait()
	return int(s.taken.Load())
}

// ask keeps asking one agent. An agent that is stopped answers when it goes
// on, and that answer is the one that matters most: nothing times out.
func (s *sampling) ask(ctx context.Context, j *judge, a *flock.Agent) {
	flock.Every(ctx, sampleEvery, func() {
		if status, err := a.Client().Status(ctx); err == nil {
			s.taken.Add(1)
			j.hear(&status)
		}
	})
}
