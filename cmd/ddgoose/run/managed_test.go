//go:build linux

package run

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slowManager says at its first look that what it runs has not begun.
type slowManager struct {
	procs *processes
	looks atomic.Int32
	ended atomic.Bool
}

var _ manager = (*slowManager)(nil)

func (s *slowManager) String() string                            { return "unit web.service" }
func (s *slowManager) self() string                              { return "systemd" }
func (s *slowManager) start(context.Context) error               { return nil }
func (s *slowManager) underWay(string) *processes                { return nil }
func (s *slowManager) stop(context.Context, time.Duration) error { return nil }
func (s *slowManager) kill(context.Context) error                { return nil }

func (s *slowManager) look(context.Context) (managedState, error) {
	return managedState{running: !s.ended.Load(), procs: s.procs, whole: s.looks.Add(1) > 3}, nil
}

// TestWhatHasJustBegunIsLookedAtSoonAgain: its cgroup counts from when the manager has no more to start.
func TestWhatHasJustBegunIsLookedAtSoonAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		procs := filepath.Join(dir, "cgroup.procs")
		require.NoError(t, os.WriteFile(procs, []byte("2147483647\n"), 0o600))
		s := &slowManager{procs: &processes{cgroup: cgroup{dir}}}
		m := &managed{manager: s, note: (&notes{}).note, news: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
		outcomes := m.start(nil)
		time.Sleep(policyPause / 2) // in virtual time
		m.mu.Lock()
		whole := m.mu.latest.Whole
		m.mu.Unlock()
		require.NoError(t, os.Remove(procs))
		s.ended.Store(true)
		<-outcomes
		require.True(t, whole)
	})
}
