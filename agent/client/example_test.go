package client_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"duckduckgoose/agent"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/lead"
)

// runAgent stands for a ddgoose agent that runs on this machine already.
func runAgent() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "ddg")
	if err != nil {
		log.Fatal(err)
	}
	socket = filepath.Join(dir, "a.sock")
	a, err := agent.New(agent.Config{Name: "a", Bind: "127.0.0.1:0", DataDir: filepath.Join(dir, "a"), Socket: socket})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return socket, func() {
		cancel()
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
		_ = os.RemoveAll(dir) // of an example
	}
}

// Work for the goose in a program beside an agent. FindSocket finds it by
// --socket, DDGOOSE_SOCKET, or because it is the only one.
func Example() {
	socket, stop := runAgent()
	defer stop()

	socket, err := client.FindSocket(socket)
	if err != nil {
		log.Fatal(err)
	}
	c := client.New(socket)
	c.Wait = 10 * time.Second // for an agent that is just starting
	err = c.Lead(context.Background(), func(ctx context.Context, lease lead.Lease) error {
		for n := 1; n <= 2 && lease.Until() > 0 && ctx.Err() == nil; n++ {
			fmt.Println("act", n, "with token", lease.Token())
		}
		return ctx.Err() // nil: all is done, and the agent steps down
	})
	fmt.Println("lead:", err)
	// Output:
	// act 1 with token 1
	// act 2 with token 1
	// lead: <nil>
}

// Who is the goose, now and at every change.
func ExampleClient_Watch() {
	socket, stop := runAgent()
	defer stop()

	c := client.New(socket)
	c.Wait = 10 * time.Second
	for s, err := range c.Watch(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if s.Goose != nil {
			fmt.Println(s.Goose.Name, "is the goose, its token", s.Token)
			break
		}
	}
	// Output: a is the goose, its token 1
}
