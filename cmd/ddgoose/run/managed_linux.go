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
	// managerTimeout bounds a request to a manager. A start has no limit: the manager may
	// still do what was requested after the time-out.
	managerTimeout = 2 * time.Second
	// managerKillTime is how long a manager takes to kill what this process cannot kill.
	managerKillTime = 100 * time.Millisecond
	// lookPause is the pause between two looks at what runs; the first pauses are shorter.
	lookPause = 100 * time.Millisecond
	// killPause is that pause after a kill, until no process is left.
	killPause = 5 * time.Millisecond
	// policyPause is the pause between two questions whether the manager restarts what ends;
	// the first pauses are shorter, because many services start in steps.
	policyPause = 2 * time.Second
)

// manager is a container engine or systemd. It runs processes for others, so they are not
// descendants of this process.
type manager interface {
	fmt.Stringer // what is run, for people
	self() string
	// start returns when the manager has started it, or will do so without a further request.
	start(context.Context) error
	// underWay finds the processes of a start that is under way, by the id of managedState;
	// nil: there are none, or they cannot be found.
	underWay(id string) *processes
	// stop asks what runs to end. A manager that can ends it after the grace.
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
	whole   bool       // once it has started: no process means that it has ended and will not restart
}

// managed is an actor that a manager runs. If the manager never restarts it, an empty cgroup
// is proof that it is gone: the manager itself would take too long to say so on a busy
// machine. Otherwise both the manager and the cgroup must say so.
type managed struct {
	manager
	grace   time.Duration
	note    func(format string, args ...any)
	news    chan struct{}
	kick    chan struct{} // capacity 1: look now
	killing atomic.Bool   // a kill by the manager is under way
	asked   atomic.Int64  // stops and kills under way; the next start waits for them
	turn    sync.Mutex    // held while something is run here
	found   func(traces)  // is told where the processes are; nil: not needed

	mu struct { // guards what follows
		sync.Mutex
		latest *startedRun // nil: nothing has run yet
		barred bool        // kill was called since the last start
		id     string      // by the manager
		heard  traces      // from the guard, about its start
		unstop func()      // cancels a stop that is under way
	}
}

// startedRun is one start of the container or unit, until its end. managed.mu guards it.
type startedRun struct {
	traces
	over bool // the manager has said that it ended
}

// traces tell where the processes of a start are. The guard reports them to run.
type traces struct {
	Starting bool       `json:"starting,omitempty"` // the manager has not said whether the start succeeded
	Procs    *processes `json:"procs,omitempty"`    // the last processes seen since then
	Whole    bool       `json:"whole,omitempty"`    // an end of Procs is proof, without the manager
}

// ended reports whether it has ended. The caller holds the lock.
func (st *startedRun) ended() bool {
	return !st.Procs.populated() && (st.over || !st.Starting && st.Whole && st.Procs != nil)
}

var _ actor = (*managed)(nil)

// newManaged returns nil if CMD is a command.
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

// claim refuses a container or unit that must not be run or that another run has claimed, and
// stops it if it runs already. release is called when this run ends.
func (m *managed) claim() (release func(), err error) {
	s, err := m.ask(nil)
	if err != nil {
		return nil, err
	}
	// The kernel removes an abstract socket when the process ends, even if it was killed.
	lock, err := net.Listen("unix", fmt.Sprintf("@ddgoose/run/%x", sha256.Sum256([]byte(s.id))))
	if err != nil {
		return nil, fmt.Errorf("%v: another ddgoose run has it", m)
	}
	st := m.began(traces{})
	defer m.over(st)
	m.clear(st, s)
	return func() { _ = lock.Close() }, nil // it holds nothing
}

// ask looks once. A reason not to run is an error.
func (m *managed) ask(st *startedRun) (managedState, error) {
	s, err := m.see(st)
	if err == nil && s.refusal != "" {
		err = errors.New(s.refusal)
	}
	if err != nil {
		err = fmt.Errorf("%v: %w", m, err)
	}
	return s, err
}

// clear stops what another program has started: it does not have this period's token.
func (m *managed) clear(st *startedRun, s managedState) {
	if s.running {
		m.note("%v runs already, and not for this goose: stopping it", m)
		m.askStop()
		m.watch(st) // its exit code does not matter
	}
}

func (m *managed) start([]string) <-chan outcome {
	st := m.began(traces{Starting: true})
	ended := make(chan outcome, 1)
	go func() {
		defer m.over(st)
		m.turn.Lock()
		defer m.turn.Unlock()
		code, err := m.run(st)
		ended <- outcome{code, err}
	}()
	return ended
}

func (m *managed) began(t traces) *startedRun {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.latest, m.mu.barred = &startedRun{traces: t}, false
	m.tellTraces()
	return m.mu.latest
}

// tellTraces reports the traces. The caller holds the lock.
func (m *managed) tellTraces() {
	if m.found != nil {
		m.found(m.mu.latest.traces)
	}
}

func (m *managed) over(st *startedRun) {
	m.mu.Lock()
	st.over = true
	m.mu.Unlock()
	tell(m.news)
}

func (m *managed) run(st *startedRun) (int, error) {
	s, err := m.ask(st)
	if err != nil {
		return CodeNotRunable, err
	}
	m.clear(st, s)
	if !m.settled() {
		return CodeNotRunable, errBarred
	}
	if err := m.manager.start(context.Background()); err != nil {
		m.kill() // it may have started nevertheless
		m.watch(st)
		return CodeNotRunable, fmt.Errorf("%v: %w", m, err)
	}
	m.mu.Lock()
	st.traces = traces{}
	m.mu.Unlock()
	return m.watch(st)
}

// learn takes the traces that the guard has reported.
func (m *managed) learn(t traces) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.heard = t
}

// doubt takes over from a dead guard, which may have started something. Where its traces
// are not enough, the manager must answer.
func (m *managed) doubt() {
	m.mu.Lock()
	heard := m.mu.heard
	m.mu.Unlock()
	st := m.began(heard)
	go func() {
		defer m.over(st)
		m.watch(st) // its exit code is lost with the guard
	}()
}

// watch waits for the end of what runs and returns its exit code. It asks the manager, which
// is slower, only when it sees no process.
func (m *managed) watch(st *startedRun) (int, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	said := false // that only the manager can kill it
	policy, next := time.Now(), lookPause
	for pause := time.Millisecond; ; pause *= 2 {
		procs, barred := m.procsOf(st)
		runs := procs.populated()
		if !runs || !barred && time.Since(policy) > next {
			policy, next = time.Now(), min(2*next, policyPause)
			tell(m.news)
			s, err := m.see(st)
			switch {
			case runs:
			case err == nil && !s.running:
				return s.code, nil
			case err != nil && procs != nil: // it has ended, and the manager does not answer
				return 1, fmt.Errorf("%v: %w", m, err)
			}
		}
		if !said && pause >= lookPause && !procs.killable() {
			said = true
			m.note("%v: only its manager can kill it, this process cannot", m)
		}
		if pause = min(pause, lookPause); runs && barred {
			pause = min(pause, killPause)
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-m.kick:
			pause = time.Millisecond
		}
	}
}

// see looks, and keeps the processes in st, unless st is nil. It kills processes that appear
// after a kill.
func (m *managed) see(st *startedRun) (managedState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), managerTimeout)
	defer cancel()
	s, err := m.look(ctx)
	if err != nil {
		return s, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.id = s.id
	if st == nil || s.procs == nil {
		return s, nil
	}
	st.Procs, st.Whole = s.procs, s.whole
	if st == m.mu.latest {
		m.tellTraces()
		if m.mu.barred {
			st.Procs.kill()
		}
	}
	return s, nil
}

// procs returns the processes of the latest start.
func (m *managed) procs() *processes {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.latest == nil {
		return nil
	}
	return m.mu.latest.Procs
}

func (m *managed) procsOf(st *startedRun) (procs *processes, barred bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return st.Procs, m.mu.barred
}

func (m *managed) changed() <-chan struct{} { return m.news }

// describe cannot know whether the cgroup has cgroup.kill: the start makes the cgroup.
func (m *managed) describe(o *client.HoldOptions) {
	o.Work, o.Ends = m.String(), m.self()+" and its cgroup"
	if os.Geteuid() != 0 {
		o.Ends = m.self() + ", and its cgroup if that is writable"
	}
}
