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
	// killPause does so for what is killed, until it has no process.
	killPause = 5 * time.Millisecond
	// policyPause spaces the questions whether the manager will start again what ends; the
	// first ones come sooner, because much is started in steps.
	policyPause = 2 * time.Second
)

// manager runs processes on behalf of others: a container engine, systemd. They
// are nobody's descendants here.
type manager interface {
	fmt.Stringer // what is run, for people
	self() string
	// start returns when what is run was started or will be by itself.
	start(context.Context) error
	// underWay finds the processes of a start that is under way, by the id that look gives;
	// nil: there are none, or nobody can know.
	underWay(id string) *processes
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
	whole   bool       // once it is started: without a process nothing runs, nor will
}

// managed is the actor that a manager runs. That it is gone, its cgroup says as soon as
// its processes have ended, where that is the whole truth: a manager takes longer, on a
// busy machine too long. Elsewhere the manager must say so, and the cgroup too.
type managed struct {
	manager
	grace   time.Duration
	note    func(format string, args ...any)
	news    chan struct{}
	kick    chan struct{} // capacity 1: look now
	killing atomic.Bool   // a kill by the manager is under way
	asked   atomic.Int64  // stops and kills under way, which must not meet the next start
	turn    sync.Mutex    // held while something is run here
	found   func(traces)  // told where the processes are; nil: nobody wants to know

	mu struct { // guards what follows
		sync.Mutex
		stint  *stint // nil: nothing was ever run
		barred bool   // kill was called since the last start
		id     string // by the manager
		heard  traces // of the guard's start
		unstop func() // gives up a stop that is under way
	}
}

// stint is one start of what is run, until its end. The lock of managed guards it.
type stint struct {
	traces
	over bool // the manager says so
}

// traces tell where the processes of a start are. The guard reports them to run.
type traces struct {
	Starting bool       `json:"starting,omitempty"` // the manager has not said what came of the start
	Procs    *processes `json:"procs,omitempty"`    // the last that were seen since then
	Whole    bool       `json:"whole,omitempty"`    // Procs tell of the end, the manager need not
}

// ended needs the lock.
func (st *stint) ended() bool {
	return !st.Procs.populated() && (st.over || !st.Starting && st.Whole && st.Procs != nil)
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
	s, err := m.ask(nil)
	if err != nil {
		return nil, err
	}
	// The kernel drops an abstract socket with the process, however that ends.
	lock, err := net.Listen("unix", fmt.Sprintf("@ddgoose/run/%x", sha256.Sum256([]byte(s.id))))
	if err != nil {
		return nil, fmt.Errorf("%v: another ddgoose run has it", m)
	}
	st := m.began(traces{})
	defer m.over(st)
	m.clear(st, s)
	return func() { _ = lock.Close() }, nil // it holds nothing
}

// ask looks once, and knows a reason not to run as an error.
func (m *managed) ask(st *stint) (managedState, error) {
	s, err := m.see(st)
	if err == nil && s.refusal != "" {
		err = errors.New(s.refusal)
	}
	if err != nil {
		err = fmt.Errorf("%v: %w", m, err)
	}
	return s, err
}

// clear ends what somebody else started: it has not this period's token.
func (m *managed) clear(st *stint, s managedState) {
	if s.running {
		m.note("%v runs already, and not for this goose: stopping it", m)
		m.askStop()
		m.watch(st) // its code is not ours
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

func (m *managed) began(t traces) *stint {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.stint, m.mu.barred = &stint{traces: t}, false
	m.tellTraces()
	return m.mu.stint
}

// tellTraces needs the lock.
func (m *managed) tellTraces() {
	if m.found != nil {
		m.found(m.mu.stint.traces)
	}
}

func (m *managed) over(st *stint) {
	m.mu.Lock()
	st.over = true
	m.mu.Unlock()
	tell(m.news)
}

func (m *managed) run(st *stint) (int, error) {
	s, err := m.ask(st)
	if err != nil {
		return CodeNotRunable, err
	}
	m.clear(st, s)
	if !m.settled() {
		return CodeNotRunable, errBarred
	}
	if err := m.manager.start(context.Background()); err != nil {
		m.kill() // it may have started all the same
		m.watch(st)
		return CodeNotRunable, fmt.Errorf("%v: %w", m, err)
	}
	m.mu.Lock()
	st.traces = traces{}
	m.mu.Unlock()
	return m.watch(st)
}

// settled waits until no former stop or kill is under way; false: kill was called.
func (m *managed) settled() bool {
	for {
		m.mu.Lock()
		barred := m.mu.barred
		m.mu.Unlock()
		if barred || m.asked.Load() == 0 {
			return !barred
		}
		select {
		case <-m.kick:
		case <-time.After(lookPause):
		}
	}
}

// learn takes what the guard's actor has found.
func (m *managed) learn(t traces) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.heard = t
}

// doubt takes over from a dead guard, which may have started something. What is not
// known from it, the manager must say.
func (m *managed) doubt() {
	m.mu.Lock()
	heard := m.mu.heard
	m.mu.Unlock()
	st := m.began(heard)
	go func() {
		defer m.over(st)
		m.watch(st) // its code went with who started it
	}()
}

// watch waits for the end of what runs and gives its exit code. A manager is asked
// when no process is seen: it costs more.
func (m *managed) watch(st *stint) (int, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	said := false // who can kill it
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
			case err != nil && procs != nil: // it ended, and so did its manager
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

// see looks, and keeps in st, unless it is nil, which processes there are. Those that
// come after the kill are killed.
func (m *managed) see(st *stint) (managedState, error) {
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
	if st == m.mu.stint {
		m.tellTraces()
		if m.mu.barred {
			st.Procs.kill()
		}
	}
	return s, nil
}

// procs are those of the present start.
func (m *managed) procs() *processes {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.stint == nil {
		return nil
	}
	return m.mu.stint.Procs
}

func (m *managed) procsOf(st *stint) (procs *processes, barred bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return st.Procs, m.mu.barred
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
	unstop, id := m.mu.unstop, m.mu.id
	starting := m.mu.stint != nil && m.mu.stint.Starting
	m.mu.Unlock()
	if unstop != nil {
		unstop()
	}
	m.procs().kill()
	if starting {
		m.underWay(id).kill() // the manager finds that the start failed, or ends what it has started
	}
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
	return m.mu.stint == nil || m.mu.stint.ended()
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
