package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"duckduckgoose/agent/client"
)

const (
	// managerTimeout bounds a question to a manager; a start has no bound, because
	// one that was given up might still be carried out.
	managerTimeout = 2 * time.Second
	// managerBurial is how long a manager takes to kill where this process cannot.
	managerBurial = 100 * time.Millisecond
	// lookPause spaces the looks at what runs; the first ones come sooner.
	lookPause = 100 * time.Millisecond
)

// manager runs processes on behalf of others: a container engine, systemd. They
// are nobody's descendants here.
type manager interface {
	fmt.Stringer // what is run, for people
	self() string
	// start returns when what is run was started or will be by itself.
	start(context.Context) error
	// stop asks what runs to end, and ends it itself after the grace if it can.
	stop(context.Context, time.Duration) error
	// kill ends what runs, and a start that is under way.
	kill(context.Context) error
	look(context.Context) (managedState, error)
}

// managedState is what a manager says.
type managedState struct {
	id      string
	running bool       // or being started or stopped
	code    int        // of the last run
	refusal string     // why it must not be run; "": it may
	procs   *processes // nil: none are seen
}

// managed is the actor that a manager runs. That it is gone both the manager and
// the cgroup must say.
type managed struct {
	manager
	grace   time.Duration
	note    func(format string, args ...any)
	news    chan struct{}
	kick    chan struct{} // capacity 1: look now
	killing atomic.Bool   // a kill by the manager is under way
	asked   atomic.Int64  // stops and kills under way, which must not meet the next start
	turn    sync.Mutex    // held while something is run here

	mu struct { // guards what follows
		sync.Mutex
		busy   bool       // something may run, or be started
		barred bool       // kill was called since the last start
		procs  *processes // the last that were seen since the last start
		unstop func()     // gives up a stop that is under way
	}
}

var _ actor = (*managed)(nil)

// newManaged gives nil when CMD is a command.
func newManaged(container, unit string, grace time.Duration, note func(string, ...any)) (*managed, error) {
	m := &managed{grace: grace, note: note, news: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
	var err error
	switch {
	case container != "":
		m.manager, err = newContainer(container)
	case unit != "":
		m.manager = &unitManager{name: unit}
	default:
		return nil, nil
	}
	return m, err
}

// claim refuses what must not be run or another run has, and ends what runs already.
// release is called when this run ends.
func (m *managed) claim() (release func(), err error) {
	s, err := m.ask()
	if err != nil {
		return nil, err
	}
	// The kernel drops an abstract socket with the process, however that ends.
	lock, err := net.Listen("unix", fmt.Sprintf("@ddgoose/run/%x", sha256.Sum256([]byte(s.id))))
	if err != nil {
		return nil, fmt.Errorf("%v: another ddgoose run has it", m)
	}
	m.began()
	defer m.over()
	m.clear(s)
	return func() { _ = lock.Close() }, nil // it holds nothing
}

// ask looks once, and knows a reason not to run as an error.
func (m *managed) ask() (managedState, error) {
	s, err := m.see()
	if err == nil && s.refusal != "" {
		err = errors.New(s.refusal)
	}
	if err != nil {
		err = fmt.Errorf("%v: %w", m, err)
	}
	return s, err
}

// clear ends what somebody else started: it has not this period's token.
func (m *managed) clear(s managedState) {
	if s.running {
		m.note("%v runs already, and not for this goose: stopping it", m)
		m.askStop()
		m.watch() // its code is not ours
	}
}

func (m *managed) start([]string) <-chan outcome {
	m.began()
	ended := make(chan outcome, 1)
	go func() {
		defer m.over()
		m.turn.Lock()
		defer m.turn.Unlock()
		code, err := m.run()
		ended <- outcome{code, err}
	}()
	return ended
}

func (m *managed) began() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.busy, m.mu.barred, m.mu.procs = true, false, nil
}

func (m *managed) over() {
	m.mu.Lock()
	m.mu.busy = false
	m.mu.Unlock()
	tell(m.news)
}

func (m *managed) run() (int, error) {
	s, err := m.ask()
	if err != nil {
		return CodeNotRunable, err
	}
	m.clear(s)
	m.mu.Lock()
	barred := m.mu.barred
	m.mu.Unlock()
	if barred {
		return CodeNotRunable, errBarred
	}
	if err := m.manager.start(context.Background()); err != nil {
		m.kill() // it may have started all the same
		m.watch()
		return CodeNotRunable, fmt.Errorf("%v: %w", m, err)
	}
	return m.watch()
}

// doubt has gone wait for the manager's word: another process may have started something.
func (m *managed) doubt() {
	m.began()
	go func() {
		defer m.over()
		m.watch() // its code went with who started it
	}()
}

// watch waits for the end of what runs and gives its exit code. A manager is asked
// when no process is seen: it costs more.
func (m *managed) watch() (int, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	said := false // who can kill it
	for pause := time.Millisecond; ; pause = min(2*pause, lookPause) {
		procs := m.procs()
		if !procs.populated() {
			s, err := m.see()
			switch {
			case err == nil && !s.running:
				return s.code, nil
			case err != nil && procs != nil: // it ended, and so did its manager
				return 1, fmt.Errorf("%v: %w", m, err)
			}
		}
		if !said && pause == lookPause && !procs.killable() {
			said = true
			m.note("%v: only its manager can kill it, this process cannot", m)
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-m.kick:
			pause = time.Millisecond
		}
	}
}

// see looks, and keeps which processes there are.
func (m *managed) see() (managedState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), managerTimeout)
	defer cancel()
	s, err := m.look(ctx)
	if err == nil && s.procs != nil {
		m.mu.Lock()
		m.mu.procs = s.procs
		m.mu.Unlock()
	}
	return s, err
}

func (m *managed) procs() *processes {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.procs
}

func (m *managed) stop() {
	done := m.asking()
	go func() {
		defer done()
		m.askStop()
	}()
}

// askStop returns when what runs has ended, or kill was called.
func (m *managed) askStop() {
	ctx, cancel := context.WithTimeout(context.Background(), m.grace+managerTimeout)
	defer cancel()
	m.mu.Lock()
	barred := m.mu.barred
	m.mu.unstop = cancel
	m.mu.Unlock()
	if barred {
		return
	}
	if err := m.manager.stop(ctx, m.grace); err != nil && ctx.Err() == nil {
		m.note("%v: stop: %v", m, err)
	}
}

// asking counts a stop or a kill until done is called.
func (m *managed) asking() (done func()) {
	m.asked.Add(1)
	return func() {
		m.asked.Add(-1)
		tell(m.kick)
		tell(m.news)
	}
}

func (m *managed) kill() {
	m.mu.Lock()
	m.mu.barred = true
	unstop := m.mu.unstop
	m.mu.Unlock()
	if unstop != nil {
		unstop()
	}
	m.procs().kill()
	tell(m.kick)
	if !m.killing.CompareAndSwap(false, true) {
		return
	}
	done := m.asking()
	go func() {
		defer done()
		defer m.killing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), managerTimeout)
		defer cancel()
		if m.manager.kill(ctx) != nil { // what still runs is seen, and killed again
			time.Sleep(lookPause / 10) // a manager that is not there is not asked all the time
		}
	}()
}

func (m *managed) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.mu.busy && m.asked.Load() == 0 && !m.mu.procs.populated()
}

func (m *managed) changed() <-chan struct{} { return m.news }

// describe cannot know whether the cgroup has cgroup.kill: it is made at the start.
func (m *managed) describe(o *client.HoldOptions) {
	o.Work, o.Ends = m.String(), m.self()+" and its cgroup"
	if os.Geteuid() != 0 {
		o.Ends = m.self() + ", and its cgroup if that is writable"
	}
}

func (m *managed) burial(guess func(int) time.Duration) time.Duration {
	procs := m.procs()
	if !procs.killable() {
		return managerBurial + guess(0)
	}
	n, _ := procs.count()
	return guess(n)
}
