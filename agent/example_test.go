package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"duckduckgoose/agent"
)

// dataDir stands for a directory that stays: what it keeps is never to be lost.
func dataDir() string {
	dir, err := os.MkdirTemp("", "ddgoose-example-")
	if err != nil {
		panic(err)
	}
	return dir
}

// An agent inside a program of one's own: it founds a flock, or joins the one
// that Join names, and runs until its context ends.
func Example() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for s := range a.Watch(ctx) {
			if s.Goose != nil {
				fmt.Println(s.Goose.Name, "is the goose of", s.Flock)
				stop()
				return
			}
		}
	}()
	if err := a.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: a is the goose of default
}

// Lead calls work while this agent is the goose. Work stops when its context
// ends, looks at what is left of the lease before each act, and sends the token
// along, so that the one acted upon can refuse an older goose.
func ExampleAgent_Lead() {
	dir := dataDir()
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: dir, Socket: agent.NoSocket})
	if err != nil {
		fmt.Println(err)
		return
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
