package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/internal/checkup"
	"duckduckgoose/agent/internal/meters"
	"duckduckgoose/agent/internal/warden"
	"duckduckgoose/agent/keys"
	"duckduckgoose/agent/lead"
	"duckduckgoose/agent/member"
	"duckduckgoose/agent/quietlog"
	"duckduckgoose/agent/store"
	"duckduckgoose/wire"
)

// Agent is one running agent. Make it with [New] and start it with [Agent.Run].
type Agent struct {
	main   *local   // of the default election
	locals struct { // guards those of the others, by name
		sync.Mutex
		all []*local
	}

	cfg     Config
	disk    *store.Store
	counts  *meters.Counters
	quiet   *quietlog.Log
	strange *quietlog.Log // for warnings about strangers, who may cause any number of them
	meters  *meters.Meters
	metrics http.Handler
	keys    atomic.Pointer[wire.Keyring]
	// keyChanger changes the keys of the flock.
	keyChanger *keys.Changer
	examiner   *checkup.Examiner
	servers    *servers // set when Run begins
	calm       bool     // as Config.Busy was told last; used by the loop only
	commands   chan func(*life) error
	closed     chan struct{} // closed when the last life has ended
	aborted    chan struct{} // closed by Abort
	abort      sync.Once
	started    atomic.Bool
	warden     *warden.Keeper // set when Run begins; nil without Config.Warden
	// wardenSocket is where guards report that their work is gone; "": nowhere.
	wardenSocket string
	lastTurn     atomic.Int64 // boot clock of the loop's last turn

	death   death
	faults  atomic.Pointer[Faults]
	freeze  atomic.Pointer[member.Freeze] // written by the loop; nil: no freeze is known
	members atomic.Pointer[membersView]

	historyNews chan struct{} // capacity 1: the history has changed
}

// New validates the configuration, then opens and locks the data directory until
// Run returns or Close is called. It starts no goroutine and opens no socket.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	ring, err := wire.NewKeyring(cfg.Flock, cfg.Keys)
	if err != nil {
		return nil, err
	}
	if cfg.FS == nil {
		if err := api.CheckDataFolder(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	var how []store.Option
	if len(cfg.Join) > 0 {
		how = append(how, store.WithJoining())
	}
	disk, err := store.Open(cfg.DataDir, cfg.FS, how...)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, disk: disk, counts: &meters.Counters{}, quiet: &quietlog.Log{Out: cfg.Logger}, strange: &quietlog.Log{Out: cfg.Logger},
		commands: make(chan func(*life) error), closed: make(chan struct{}), aborted: make(chan struct{}),
		historyNews: make(chan struct{}, 1),
	}
	a.death.died = make(chan struct{})
	a.meters = meters.New(cfg.Clock())
	a.metrics = a.Collector().Handler()
	a.keys.Store(ring)
	a.keyChanger = keys.New(keyHost{a})
	a.examiner = checkup.New(examined{a})
	if err := a.startable(); err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	a.main = a.newLocal("")
	a.main.contested, a.main.checked.check = true, cfg.Check
	for _, name := range cfg.Elections {
		at := a.localOf(name)
		at.contested, at.checked.check = true, cfg.Checks[name]
	}
	for _, e := range disk.State().Elections {
		if e.Number != 0 {
			a.localOf(e.Name)
		}
	}
	a.loadHistory()
	a.main.post(a.idleStatusOf(""), 0, cfg.Lease)
	a.lastTurn.Store(int64(cfg.Clock()))
	return a, nil
}

// startable refuses a data directory that has no flock and no way to find one.
func (a *Agent) startable() error {
	st := a.disk.State()
	rec, _ := st.Record()
	if table := store.TableOf(st.Elections); rec.Config.N > 0 && rec.Config.Table != table {
		return fmt.Errorf("data directory %s: its elections do not match its config, so its files come from two directories: empty it and start the agent with --join", a.cfg.DataDir)
	}
	switch {
	case len(a.cfg.Join) > 0 || a.cfg.Expect > 0 && !st.Left:
		return nil
	case st.Left:
		return fmt.Errorf("data directory %s: this agent has left its flock: start it with --join ADDR to come back, or with another --data-dir to begin anew", a.cfg.DataDir)
	case rec.Config.N == 0 && !a.disk.Fresh() && st.Start > 0:
		return fmt.Errorf("data directory %s: it belongs to an agent that has met no flock yet: start it with --join ADDR or --expect N, or empty the directory to found a flock of its own", a.cfg.DataDir)
	}
	return nil
}

// Close unlocks the data directory of an agent that was never run. After Run it does
// nothing.
func (a *Agent) Close() error { return a.disk.Close() }

// Run runs the agent until ctx ends, the agent leaves, or its disk fails. It can be
// called once. The end of ctx is a SIGTERM: Run stops the work for the goose, hands
// over and closes everything, which takes at most Config.Grace and a few leases. It
// returns nil after a leave or the end of ctx. No goroutine of the agent outlives
// Run, except a probe of memberlist's, for up to a second and without a socket.
func (a *Agent) Run(ctx context.Context) (err error) {
	if a.started.Swap(true) {
		return errors.New("run agent: Run was called before: make a new Agent")
	}
	defer func() { err = errors.Join(err, a.disk.Close()) }()
	endWarden, err := a.startWarden()
	if err != nil {
		close(a.closed)
		return err
	}
	if a.servers, err = a.openServers(); err != nil {
		endWarden()
		close(a.closed)
		return err
	}
	defer a.servers.close()
	defer endWarden() // before the connections of holders end
	defer a.lookAfter(a.servers)()
	defer a.check()()
	defer a.keepHistory()()
	// Closed first: it ends the sessions that the servers wait for.
	defer close(a.closed)
	for {
		err := a.live(ctx)
		switch {
		case errors.Is(err, errMoved):
			continue
		case !errors.Is(err, errDead):
			return err
		case !a.beDead(ctx):
			return nil
		}
		a.death.end()
	}
}

// Abort ends Run at once, without a hand-over: a second SIGTERM. The others elect a
// goose when their promises to this one have run out. Abort may be called several
// times, and before Run.
func (a *Agent) Abort() { a.abort.Do(func() { close(a.aborted) }) }

// live runs one life: from a start to a stop, a failure or a simulated death.
func (a *Agent) live(ctx context.Context) error {
	l, err := a.newLife()
	if err != nil {
		return err
	}
	defer l.close()
	return l.loop(ctx)
}

// do runs f on the loop. An error of f ends the life; f returns results by the
// variables that it captures.
func (a *Agent) do(ctx context.Context, f func(*life) error) error {
	return a.doBefore(ctx, a.death.next(), f)
}

func (a *Agent) doBefore(ctx context.Context, died <-chan struct{}, f func(*life) error) error {
	select {
	case <-died:
		return errIsDead
	default:
	}
	select {
	case a.commands <- f:
		return nil
	case <-died:
		return errIsDead
	case <-ctx.Done():
		return ctx.Err()
	case <-a.closed:
		return ErrStopped
	}
}

// ask runs f on the loop and waits for its answer.
func ask[T any](ctx context.Context, a *Agent, f func(l *life, answer func(T, error)) error) (T, error) {
	type result struct {
		v   T
		err error
	}
	results := make(chan result, 1)
	var zero T
	died := a.death.next()
	err := a.doBefore(ctx, died, func(l *life) error {
		return f(l, func(v T, err error) {
			select {
			case results <- result{v, err}:
			default: // answered already
			}
		})
	})
	if err != nil {
		return zero, err
	}
	select {
	case r := <-results:
		return r.v, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	case <-died:
		err = errIsDead
	case <-a.closed:
		err = ErrStopped
	}
	select {
	case r := <-results: // the life answered and ended
		return r.v, r.err
	default:
		return zero, err
	}
}

// look runs f on the loop and returns its results.
func look[T any](ctx context.Context, a *Agent, f func(*life) (T, error)) (T, error) {
	return ask(ctx, a, func(l *life, answer func(T, error)) error {
		answer(f(l))
		return nil
	})
}

// onLoop is look for functions that return only an error.
func (a *Agent) onLoop(ctx context.Context, f func(*life) error) error {
	_, err := look(ctx, a, func(l *life) (struct{}, error) { return struct{}{}, f(l) })
	return err
}

// Status returns what the agent knows. The boot clock decides at the call whether the
// agent is still the goose.
func (a *Agent) Status() Status { return a.byDefault().Status() }

// Watch yields the status at once and after every visible change, a lapse of the
// lease included. A slow reader skips to the latest status. Watch ends with ctx or
// with the agent.
func (a *Agent) Watch(ctx context.Context) iter.Seq[Status] { return a.byDefault().Watch(ctx) }

// StepDown makes this agent hand over to the voter named to; "": to the one that
// ranks first. Work is stopped first. It returns when another agent is the goose, or
// an error after two leases. A frozen flock refuses it.
func (a *Agent) StepDown(ctx context.Context, to string) error {
	return a.byDefault().StepDown(ctx, to)
}

// Lead waits, and calls work once per time this agent is the goose, never twice
// at once in a process. It may be called before Run has started. work's
// context is a child of ctx; context.Cause says why it ended: ErrLeaseLost,
// ErrSteppedDown or ErrStopped.
//
// An unrenewed lease cancels work when 40 % of it are left. A step-down, a
// leave or a stop cancels it first, renews the lease meanwhile for up to
// Config.Grace, and hands over only when all running works have returned. Work
// that goes on after a lapse keeps this agent from campaigning until it returns.
//
// When work returns by itself, the agent steps down and Lead returns work's error.
// After a cancel by a lost lease or a step-down, Lead waits for the next period.
// When ctx ends, Lead cancels work, waits for it, has the agent step down, and
// returns ctx.Err(). After a panic in work the agent steps down, and the panic
// continues.
//
// [lead.Try] bounds the wait, with ErrNotGoose, and [lead.Keep] leaves the goose
// where it is instead of stepping down.
//
// No context can stop work in a paused process: check Lease.Until before each
// act, and send Lease.Token with it.
func (a *Agent) Lead(ctx context.Context, work func(context.Context, Lease) error, opts ...lead.Option) error {
	return a.byDefault().Lead(ctx, work, opts...)
}

// Leave removes this agent from the voters and from the flock, and ends Run. It
// refuses if the flock would end or lose its majority, unless force is set: then the
// agent leaves at once.
func (a *Agent) Leave(ctx context.Context, force bool) error {
	_, err := ask(ctx, a, func(l *life, answer func(struct{}, error)) error {
		l.endsAll(api.EndedLeft, "it left the flock")
		return l.member.Leave(force, func(err error) {
			if err != nil {
				for _, at := range append(a.otherLocals(), a.main) {
					at.succession.goesOn()
				}
			}
			answer(struct{}{}, l.explained(err))
		})
	})
	return err
}

// counters returns all counters, with those of the network emulator and of the
// embedding program.
func (a *Agent) counters() map[string]uint64 {
	all := a.counts.All()
	if a.cfg.Counters != nil {
		maps.Copy(all, a.cfg.Counters())
	}
	if f := a.faults.Load(); f != nil {
		for name, n := range (*f).Counters() {
			all["netem_"+name] = n
		}
	}
	return all
}
