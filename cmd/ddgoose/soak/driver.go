package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"duckduckgoose/agent/boottime"
	"duckduckgoose/cmd/ddgoose/flock"
	"duckduckgoose/netem/shape"
)

// Struck is a fault that struck, or did not.
type Struck struct {
	Kind   Kind          `json:"kind"`
	Agent  string        `json:"agent,omitempty"` // "": all of them
	Goose  bool          `json:"goose"`           // the agent was the goose then
	Detail string        `json:"detail,omitempty"`
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
	// Skipped tells why it did not strike, Refused why the flock did not let it.
	Skipped string `json:"skipped,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// Crash is a process that ended without being told to.
type Crash struct {
	Agent string        `json:"agent"`
	At    time.Duration `json:"at_ns"`
	How   string        `json:"how"`
	Log   string        `json:"log"` // the end of it
}

// driver does harm to the flock, and undoes it.
type driver struct {
	s       *Scenario
	f       *flock.Flock
	o       *observer
	w       *world
	writers *writers
	ended   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	harmed   map[string]Kind
	busy     map[Kind]bool // of those that strike the whole network
	struck   []*Struck
	crashes  []Crash
	writerNo int
}

// run strikes by plan until ctx ends, and returns when all is undone.
func (d *driver) run(ctx context.Context, p *plan) {
	defer d.ended.Wait()
	for {
		next := p.next()
		if sleep(ctx, next.after) != nil {
			return
		}
		d.ended.Go(func() { d.strike(ctx, next) })
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// strike does one fault from begin to end.
func (d *driver) strike(ctx context.Context, p planned) {
	r := &Struck{Kind: p.kind}
	var err error
	switch p.kind {
	case Partition:
		err = d.partition(ctx, p, r)
	case Network:
		err = d.network(ctx, p, r)
	case StepDown:
		err = d.stepDown(ctx, r)
	case PauseWriter, KillWriter:
		err = d.harmWriter(ctx, p, r)
	default:
		err = d.harmAgent(ctx, p, r)
	}
	r.To = boottime.Now()
	if r.From == 0 {
		r.From = r.To
	}
	if err != nil && r.Skipped == "" {
		r.Refused = err.Error()
	}
	d.mu.Lock()
	d.struck = append(d.struck, r)
	d.mu.Unlock()
}

// errSkipped says that there was nobody to strike.
var errSkipped = errors.New("skipped")

func (r *Struck) skip(why string) error {
	r.Skipped = why
	return errSkipped
}

// harmAgent strikes one agent's process.
func (d *driver) harmAgent(ctx context.Context, p planned, r *Struck) error {
	name, err := d.victim(p, r)
	if err != nil {
		return err
	}
	a, err := d.f.Agent(name)
	if err != nil {
		return err
	}
	d.w.harm(name, true)
	r.From = boottime.Now()
	harm := map[Kind]func(context.Context, *flock.Agent, time.Duration) error{
		Kill: d.kill, Pause: d.pause, Freeze: d.freeze, Stop: d.stop, Death: d.die, Leave: d.leave, Wipe: d.wipe,
	}[p.kind]
	err = harm(ctx, a, p.lasts)
	d.recovered(name)
	return err
}

// recovered ends the harm of an agent.
func (d *driver) recovered(name string) {
	d.w.harm(name, false)
	d.mu.Lock()
	delete(d.harmed, name)
	d.mu.Unlock()
}

// restarts are the kinds that end the process.
var restarts = []Kind{Kill, Stop, Leave, Wipe}

// victim chooses an agent, and books it as harmed.
func (d *driver) victim(p planned, r *Struck) (string, error) {
	goose, _ := d.o.goose()
	lost := d.w.lost()
	names := d.f.Names()
	if slices.Contains(restarts, p.kind) {
		names = names[:max(len(names)-d.s.Spare, 0)]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool { return d.harmed[name] != "" })
	switch {
	case len(d.harmed)+lost >= d.s.Down:
		return "", r.skip(fmt.Sprintf("%d agents are down already, and %d voters have lost their disks", len(d.harmed), lost))
	case p.kind == Wipe && lost > 0:
		// P5 gives the flock time to heal: a goose replaces a voter 30 s after
		// its own election, so with faults that depose it this may take long.
		return "", r.skip("a voter that lost its disk is not replaced yet")
	case len(names) == 0:
		return "", r.skip("nobody is left to strike")
	}
	name := names[p.pick.of(len(names))]
	if p.goose && slices.Contains(names, goose) {
		name = goose
	}
	r.Agent, r.Goose = name, name == goose
	d.harmed[name] = p.kind
	return name, nil
}

func (d *driver) kill(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.f.Hold(context.Background(), a.Name); err != nil {
		return err
	}
	_ = sleep(ctx, lasts) // the end of the run ends every fault
	return d.f.Start(a.Name)
}

func (d *driver) pause(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := a.Signal(stopSignal); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	if err := a.Signal(contSignal); err != nil {
		return err
	}
	return d.retell(a)
}

// freeze stops the writer first and lets it go on last: it may then act by a
// lease that was over long ago, and only the token can stop it.
func (d *driver) freeze(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.writers.signal(a.Name, stopSignal); err != nil {
		return err
	}
	err := d.pause(ctx, a, lasts)
	return errors.Join(err, d.writers.signal(a.Name, contSignal))
}

func (d *driver) stop(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	gone := a.Gone()
	if err := a.Signal(termSignal); err != nil {
		return err
	}
	if err := d.ends(a, gone); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name)
}

// endLimit bounds how long an agent that was told to end may take.
const endLimit = 20 * time.Second

// ends waits for the end of a process that was told to, and books it as a crash
// if that was no clean one.
func (d *driver) ends(a *flock.Agent, gone <-chan struct{}) error {
	timer := time.NewTimer(endLimit)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		d.crashed(a, fmt.Sprintf("it has not ended %v after it was told to", endLimit))
		return d.f.Hold(context.Background(), a.Name)
	}
	if err := a.ExitError(); err != nil {
		d.crashed(a, "it was told to end, and ended with "+err.Error())
	}
	return nil
}

// die and the rest of what is asked over the socket are given some time.
const askLimit = 15 * time.Second

func (d *driver) die(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	ask, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	if err := a.Client().Die(ask, 0); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return a.Client().Revive(ask)
}

func (d *driver) leave(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	gone := a.Gone()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := a.Client().Leave(ask, false); err != nil {
		if ask.Err() == nil {
			return err // refused, and it stays
		}
		// It keeps trying, whether anybody waits or not: a restart ends that.
		return errors.Join(err, d.f.Hold(context.Background(), a.Name), d.f.Start(a.Name))
	}
	d.o.left(a.Name)
	if err := d.ends(a, gone); err != nil {
		return err
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name) // with --join, as ever
}

func (d *driver) wipe(ctx context.Context, a *flock.Agent, lasts time.Duration) error {
	if err := d.f.Hold(context.Background(), a.Name); err != nil {
		return err
	}
	if err := os.RemoveAll(a.Data); err != nil {
		return fmt.Errorf("lose the disk of %s: %w", a.Name, err)
	}
	_ = sleep(ctx, lasts)
	return d.f.Start(a.Name)
}

func (d *driver) stepDown(ctx context.Context, r *Struck) error {
	goose, _ := d.o.goose()
	if goose == "" {
		return r.skip("there is no goose")
	}
	a, err := d.f.Agent(goose)
	if err != nil {
		return err
	}
	r.Agent, r.Goose, r.From = goose, true, boottime.Now()
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	next, err := a.Client().StepDown(ask, "")
	r.Detail = "to " + next
	return err
}

// harmWriter strikes the process that acts for the goose.
func (d *driver) harmWriter(ctx context.Context, p planned, r *Struck) error {
	goose, _ := d.o.goose()
	if goose == "" {
		return r.skip("there is no goose")
	}
	d.mu.Lock()
	n := d.writerNo
	d.writerNo++
	d.mu.Unlock()
	r.Agent, r.Goose, r.From = goose, true, boottime.Now()
	if p.kind == KillWriter {
		return d.writers.kill(goose, n)
	}
	if err := d.writers.signal(goose, stopSignal); err != nil {
		return err
	}
	_ = sleep(ctx, p.lasts)
	return d.writers.signal(goose, contSignal)
}

// begin books the whole network as struck by a kind, once at a time.
func (d *driver) begin(kind Kind, r *Struck) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[kind] {
		return r.skip("one is in force already")
	}
	d.busy[kind] = true
	return nil
}

func (d *driver) done(kind Kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, kind)
}

// flap bounds how long a flapping link is up or down.
const flap = 400 * time.Millisecond

func (d *driver) partition(ctx context.Context, p planned, r *Struck) error {
	if err := d.begin(Partition, r); err != nil {
		return err
	}
	defer d.done(Partition)
	c, err := d.cast(p)
	if err != nil {
		return r.skip(err.Error())
	}
	text := shapes[p.shape](c)
	s, err := shape.Parse(text)
	if err != nil {
		return err
	}
	r.Detail, r.From = p.shape+" "+text, boottime.Now()
	if p.shape != flapping {
		d.setPartition(s)
		_ = sleep(ctx, p.lasts)
	}
	for i := 0; p.shape == flapping && boottime.Now() < r.From+p.lasts && ctx.Err() == nil; i++ {
		if i%2 == 0 {
			d.setPartition(s)
		} else {
			d.setPartition(shape.Shape{})
		}
		_ = sleep(ctx, flap/4+time.Duration(p.pick)>>i%flap)
	}
	d.setPartition(shape.Shape{})
	return nil
}

// cast gives the roles of a partition.
func (d *driver) cast(p planned) (*cast, error) {
	goose, _ := d.o.goose()
	voters := d.w.voters()
	if goose == "" || !slices.Contains(voters, goose) {
		return nil, errors.New("there is no goose")
	}
	if len(voters) < fewest {
		return nil, fmt.Errorf("there are %d voters", len(voters))
	}
	c := &cast{goose: goose}
	for _, name := range p.pick.shuffled(d.f.Names()) {
		switch {
		case name == goose:
		case slices.Contains(voters, name):
			c.voters = append(c.voters, name)
		default:
			c.rest = append(c.rest, name)
		}
	}
	return c, nil
}

// tellLimit bounds how long agents may take to take rules; one that is stopped
// is told when it goes on.
const tellLimit = 2 * time.Second

// setPartition replaces the partition. What is cut by either counts as cut meanwhile.
func (d *driver) setPartition(s shape.Shape) {
	d.w.partitioned(append(d.w.inForce(), s)...)
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	if err := d.f.SetPartition(ctx, s); err != nil {
		d.retellAll()
	}
	d.w.partitioned(s)
}

func (d *driver) network(ctx context.Context, p planned, r *Struck) error {
	if err := d.begin(Network, r); err != nil {
		return err
	}
	defer d.done(Network)
	r.Detail, r.From = p.rules, boottime.Now()
	d.w.setNoisy(true)
	defer d.w.setNoisy(false)
	d.setNetem(p.rules)
	_ = sleep(ctx, p.lasts)
	d.setNetem("")
	return nil
}

func (d *driver) setNetem(rules string) {
	ctx, cancel := context.WithTimeout(context.Background(), tellLimit)
	defer cancel()
	if err := d.f.SetNetem(ctx, rules); err != nil {
		d.retellAll()
	}
}

// retellAll tells every agent that is not harmed its rules again: one of them
// was too slow to take them.
func (d *driver) retellAll() {
	for _, name := range d.f.Names() {
		d.mu.Lock()
		harmed := d.harmed[name] != ""
		d.mu.Unlock()
		if a, err := d.f.Agent(name); err == nil && !harmed {
			_ = d.retell(a) // one that ends meanwhile gets them at its start
		}
	}
}

// retell tells one agent the rules that it should have.
func (d *driver) retell(a *flock.Agent) error {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	rules := d.f.Rules(a.Name)
	if rules == "" {
		return a.Client().ClearNetem(ctx)
	}
	_, err := a.Client().SetNetem(ctx, rules, 0)
	return err
}
