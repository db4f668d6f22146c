package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/agent/lead"
)

// dataDir stands for a directory that must never be lost.
func dataDir() string {
	dir, err := os.MkdirTemp("", "ddgoose-example-")
	if err != nil {
		panic(err)
	}
	return dir
}

// An agent in ten lines: it founds a flock, or joins the one that Join names, and runs
// until its context ends.
func Example() {
	dir := dataDir()
	defer os.RemoveAll(dir)

	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go a.Lead(ctx, func(ctx context.Context, lease agent.Lease) error {
		fmt.Println("acting for the goose with token", lease.Token())
		stop() // as a SIGTERM would
		<-ctx.Done()
		return nil
	})
	fmt.Println("run:", a.Run(ctx))
	// Output:
	// acting for the goose with token 1
	// run: <nil>
}

// Watch yields the status at once and at every change: who is the goose, and
// whether it is this agent inside its lease. It binds nobody; Lead does.
func ExampleAgent_Watch() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		for s := range a.Watch(ctx) {
			if s.Goose != nil {
				fmt.Println(s.Goose.Name, "is the goose of", s.Flock)
				return
			}
		}
	}()
	if err := a.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: a is the goose of default
}

// callbacks are those of client-go's leaderelection.
type callbacks struct {
	OnStartedLeading func(context.Context)
	OnStoppedLeading func()
	OnNewLeader      func(identity string)
}

// runOrDie has the callbacks of RunOrDie. Lead calls OnStartedLeading, OnStoppedLeading
// follows its end, and OnNewLeader comes from Watch. The differences: no other agent
// leads before OnStartedLeading has returned or the lease has run out, so it must
// return when its context ends. After a lost lease Lead waits for the next period,
// where RunOrDie returns. OnStoppedLeading is called only after OnStartedLeading. And
// there is a token, to be sent with each act.
func runOrDie(ctx context.Context, a *agent.Agent, c callbacks) error {
	go func() {
		last := ""
		for s := range a.Watch(ctx) {
			if s.Goose != nil && s.Goose.ID != last {
				last = s.Goose.ID
				c.OnNewLeader(s.Goose.Name)
			}
		}
	}()
	return a.Lead(ctx, func(ctx context.Context, _ agent.Lease) error {
		defer c.OnStoppedLeading()
		c.OnStartedLeading(ctx)
		return nil // otherwise Lead would end: the work is done
	})
}

// The callbacks of client-go's leaderelection, by Lead and Watch.
func Example_clientGoCallbacks() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()

	known := make(chan struct{})
	err = runOrDie(ctx, a, callbacks{
		OnStartedLeading: func(ctx context.Context) {
			fmt.Println("started leading")
			<-known
			stop() // the program ends
			<-ctx.Done()
		},
		OnStoppedLeading: func() { fmt.Println("stopped leading") },
		OnNewLeader: func(identity string) {
			fmt.Println("new leader:", identity)
			close(known)
		},
	})
	fmt.Println("lead:", err)
	fmt.Println("run:", <-ended)
	// Unordered output:
	// started leading
	// new leader: a
	// stopped leading
	// lead: context canceled
	// run: <nil>
}

// Lead calls work while this agent is the goose. Work stops when its context ends,
// checks the rest of the lease before each act, and sends the token with it, so that
// the receiver can refuse an older goose.
func ExampleAgent_Lead() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()

	err = a.Lead(ctx, func(ctx context.Context, lease agent.Lease) error {
		for n := 1; n <= 3; n++ {
			if lease.Until() <= 0 {
				return errors.New("too late to act")
			}
			fmt.Println("act", n, "with token", lease.Token())
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Millisecond):
			}
		}
		return nil // done: the agent steps down, if another can take over
	})
	fmt.Println("lead:", err)
	stop()
	fmt.Println("run:", <-ended)
	// Output:
	// act 1 with token 1
	// act 2 with token 1
	// act 3 with token 1
	// lead: <nil>
	// run: <nil>
}

// Advance makes something happen once, however often the goose changes: here, what
// belongs to each minute. Whoever gets nil may do it; a minute whose goose dies
// before it has done it is left out.
func ExampleLease_advance() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go a.Lead(ctx, func(ctx context.Context, lease agent.Lease) error {
		defer stop()
		minute := uint64(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix() / 60)
		for range 2 {
			switch err := lease.Advance(ctx, minute); {
			case err == nil:
				fmt.Println("doing what belongs to minute", lease.Mark())
			case errors.Is(err, lead.ErrTaken):
				fmt.Println("it was done, or left out")
			default:
				return err // nobody knows whether it is taken
			}
		}
		return nil
	})
	if err := a.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// doing what belongs to minute 29455384
	// it was done, or left out
}
