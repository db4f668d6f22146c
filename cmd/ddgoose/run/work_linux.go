package run

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/lead"
)

// errEnded: CMD has ended by itself.
var errEnded = errors.New("the command has ended")

// work runs CMD for one goose period; when it returns, nothing is left of it.
// length is that of a whole lease.
func (g *guard) work(ctx context.Context, lease lead.Lease, length time.Duration) error {
	status, ok := g.period(ctx, lease.Token())
	if !ok {
		return nil
	}
	env := g.environment(status, lease.Token())
	working := true
	g.link.say(report{Working: &working})
	defer func() {
		working = false
		g.link.say(report{Working: &working})
	}()
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		began := time.Now()
		code := g.once(ctx, lease, length, env)
		if ctx.Err() != nil {
			g.note("token %d: stopped: %v", lease.Token(), context.Cause(ctx))
			return nil
		}
		if !g.Restart {
			g.code = &code
			return errEnded
		}
		if time.Since(began) > lastBackoff {
			backoff = firstBackoff
		}
		g.note("token %d: the command ended with code %d; again in %v", lease.Token(), code, backoff)
		pause(ctx, backoff)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// period asks the agent for what CMD is told about this goose period; false: it is over.
func (g *guard) period(ctx context.Context, token uint64) (api.Status, bool) {
	for ctx.Err() == nil {
		s, err := g.client.Status(ctx)
		if err == nil && s.Token == token && s.FlockID != "" {
			return s, true
		}
		pause(ctx, 20*time.Millisecond)
	}
	return api.Status{}, false
}

// termBits is the width of the term in a token.
const termBits = 40

func (g *guard) environment(s api.Status, token uint64) []string {
	ours := map[string]string{
		"DDGOOSE_TOKEN":    strconv.FormatUint(token, 10),
		"DDGOOSE_TERM":     strconv.FormatUint(token&(1<<termBits-1), 10),
		"DDGOOSE_FLOCK_ID": s.FlockID,
		"DDGOOSE_NAME":     s.Name,
		"DDGOOSE_SOCKET":   g.Socket,
		"DDGOOSE_ELECTION": g.Election,
	}
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if _, set := ours[name]; !set {
			env = append(env, kv)
		}
	}
	for name, value := range ours {
		if value != "" { // the default election has no name, and that of another run is not it
			env = append(env, name+"="+value)
		}
	}
	return env
}

// once runs CMD until it has ended by itself or ctx has, and then ends
// whatever it has left behind. It gives CMD's exit code.
func (g *guard) once(ctx context.Context, lease lead.Lease, length time.Duration, env []string) int {
	exit, err := g.start(env)
	if err != nil {
		g.note("token %d: %v", lease.Token(), err)
		return codeOfStart(err)
	}
	counting, stop := context.WithCancel(ctx)
	var counted sync.WaitGroup
	counted.Go(func() { g.countOften(counting) })
	var code int
	select {
	case status := <-exit:
		code = codeOf(status)
	case <-ctx.Done():
	}
	stop()
	g.end(ctx, lease, length)
	counted.Wait()
	return code
}

func (g *guard) start(env []string) (<-chan syscall.WaitStatus, error) {
	path, err := exec.LookPath(g.command[0])
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	_, exit, err := g.brood.start(path, g.command, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, 1, 2},
		// Should the guard be killed, CMD is without waiting for run to do it.
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: path, Err: err}
	}
	return exit, nil
}

// end stops all descendants: SIGTERM, and SIGKILL when the grace is over or so
// little of the lease is left that they might outlive it.
func (g *guard) end(ctx context.Context, lease lead.Lease, length time.Duration) {
	asked := time.Now()
	left := func() time.Duration {
		return min(g.grace(ctx)-time.Since(asked), lease.Until()-share(length, killLeft)-g.burial())
	}
	if !g.brood.empty.Load() && left() > 0 {
		g.brood.signal(unix.SIGTERM)
		g.brood.signal(unix.SIGCONT) // what is stopped must hear it too
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for !g.brood.empty.Load() {
		left := left()
		if left <= 0 {
			g.brood.kill(func() { g.link.say(report{Killing: true}) })
			return
		}
		timer.Reset(min(left, length/10)) // timers stand still in a suspend
		select {
		case <-g.brood.changed:
		case <-done:
			done = nil // the rest of the grace may be gone
		case <-timer.C:
		}
	}
}

// grace is how long CMD may take to end, as things stand.
func (g *guard) grace(ctx context.Context) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.now || context.Cause(ctx) == errRunGone {
		return 0
	}
	return g.Grace
}
