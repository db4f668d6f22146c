package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	"duckduckgoose/cmd/ddgoose/proxy"
)

func newProxyCommand(env *environment) *cobra.Command {
	o := proxyOptions{env: env}
	cmd := &cobra.Command{
		Use:   "proxy --listen HOST:PORT --to-port PORT|--to-tag KEY",
		Short: "Forward TCP connections to the goose's machine",
		Long: `Forwards each TCP connection to the machine of the goose, as the agent on this machine knows it. Start it beside
every client, and have the clients connect to it: they need no load balancer.

--to-port takes the goose's address from the flock and this port. --to-tag takes the tag KEY of the goose's agent
(ddgoose agent --tag KEY=...): a PORT, or HOST:PORT where the program listens at another address.

A connection belongs to one goose. When the goose changes, it is reset, and the client connects again. After a planned
hand-over it may finish first, for --drain. While there is no goose, new connections are reset at once, and open
ones after one lease. SIGTERM or SIGINT: connections may finish for --drain, then this command ends.

What an agent knows of the goose is a snapshot. For a moment a connection may reach a program whose lease has just
ended, if that is not started by ddgoose run: then check the token where it matters.

Exit codes: 0 stopped by a signal, 1 cannot listen at the address, 2 wrong usage or no agent's socket.`,
		Example: `  ddgoose proxy --listen 127.0.0.1:5432 --to-port 5432
  ddgoose proxy --listen 127.0.0.1:6432 --to-tag pg --election database`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flagVar(cmd.Flags(), &o.listen, "listen", "", "HOST:PORT", "where clients connect", parseListen)
	rangeFlag(cmd.Flags(), &o.port, "to-port", "", 1, 65535, "the port of the goose's program")
	stringFlag(cmd.Flags(), &o.tag, "to-tag", "", "KEY", "the tag of the goose's agent that says where its program listens")
	durationFlag(cmd.Flags(), &o.drain, "drain", "5s", "how long connections may go on after a planned hand-over")
	socketFlag(cmd, &o.socket)
	electionFlag(cmd, &o.election)
	return cmd
}

func parseListen(s string) (string, error) {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return "", errors.New("want HOST:PORT, as 127.0.0.1:5432")
	}
	return s, nil
}

type proxyOptions struct {
	env                           *environment
	listen, tag, socket, election string
	port                          uint64
	drain                         time.Duration
}

func (o *proxyOptions) run(ctx context.Context) error {
	if o.listen == "" || (o.port == 0) == (o.tag == "") {
		return usage("proxy: name where to listen, and either a port or a tag: ddgoose proxy --listen 127.0.0.1:5432 --to-port 5432")
	}
	path, err := client.FindSocket(o.socket)
	if err != nil {
		return cannotTell(err)
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := proxy.New(proxy.Options{Drain: o.drain, Note: func(format string, args ...any) {
		fmt.Fprintf(o.env.stderr, "ddgoose: proxy: "+format+"\n", args...)
	}})
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		(&gooseFollower{proxyOptions: o, client: client.New(path).Election(o.election), proxy: p}).follow(ctx)
	}()
	err = p.Serve(ctx, ln)
	stop()
	<-followed
	return err
}

// gooseFollower tells a proxy who is the goose.
type gooseFollower struct {
	*proxyOptions
	client *client.Client
	proxy  *proxy.Proxy

	lease time.Duration
	heard time.Time // when the agent last answered
	flock string    // its id
	token uint64    // of the last goose
}

// follow watches the agent until ctx ends. It also asks now and then, because an agent
// that hangs reports no change.
func (f *gooseFollower) follow(ctx context.Context) {
	statuses := make(chan api.Status)
	go f.watch(ctx, statuses)
	f.lease = time.Second
	for {
		select {
		case s := <-statuses:
			f.see(ctx, s)
		case <-time.After(max(f.lease/2, 100*time.Millisecond)):
			asking, cancel := context.WithTimeout(ctx, f.lease)
			s, err := f.client.Status(asking)
			cancel()
			switch {
			case err == nil:
				f.see(ctx, s)
			case time.Since(f.heard) > 2*f.lease && ctx.Err() == nil:
				f.proxy.Follow(proxy.Target{Why: "the agent does not answer"}, false)
			}
		case <-ctx.Done():
			return
		}
	}
}

// watch passes on the agent's statuses, through its restarts.
func (f *gooseFollower) watch(ctx context.Context, statuses chan<- api.Status) {
	for ctx.Err() == nil {
		for s, err := range f.client.Watch(ctx) {
			if err != nil {
				break
			}
			select {
			case statuses <- s:
			case <-ctx.Done():
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// planned lists the ends that are hand-overs: the former goose's program still runs for a moment.
var planned = []string{api.EndedStepDown, api.EndedPreempted, api.EndedUnwell, api.EndedNoWork, api.EndedLeft}

func (f *gooseFollower) see(ctx context.Context, s api.Status) {
	f.heard, f.lease = time.Now(), time.Duration(s.LeaseMS*float64(time.Millisecond))
	if s.Goose == nil || s.Role == api.RoleDead {
		f.proxy.Follow(proxy.Target{Why: "no goose is known", Wait: f.lease}, false)
		return
	}
	if s.FlockID == f.flock && s.Token < f.token {
		return // an older answer
	}
	t := proxy.Target{Token: s.Token, Name: api.Printable(s.Goose.Name)}
	var err error
	if t.Addr, err = f.target(s.Goose); err != nil {
		t.Why = err.Error()
	}
	handedOver := false
	if f.token != 0 && f.token != s.Token {
		asking, cancel := context.WithTimeout(ctx, f.lease)
		h, err := f.client.History(asking) // if this fails, connections are reset at once
		cancel()
		i := slices.IndexFunc(h.Periods, func(p api.Period) bool { return p.Token == f.token })
		handedOver = err == nil && i >= 0 && slices.Contains(planned, h.Periods[i].Ended)
	}
	f.flock, f.token = s.FlockID, s.Token
	f.proxy.Follow(t, handedOver)
}

// target returns where the goose's program listens.
func (f *gooseFollower) target(g *api.Goose) (string, error) {
	host, _, err := net.SplitHostPort(g.Addr)
	if err != nil {
		return "", fmt.Errorf("the address of %s is not known yet", api.Printable(g.Name))
	}
	if f.tag == "" {
		return net.JoinHostPort(host, strconv.FormatUint(f.port, 10)), nil
	}
	value := g.Tags[f.tag]
	if value == "" {
		return "", fmt.Errorf("%s is the goose and has no tag %q: start its agent with --tag %s=PORT", api.Printable(g.Name), f.tag, f.tag)
	}
	port := value
	if h, p, err := net.SplitHostPort(value); err == nil {
		port = p
		if h != "" {
			host = h
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New(api.Printable(fmt.Sprintf("the tag %s=%s of %s: want PORT or HOST:PORT", f.tag, value, g.Name)))
	}
	return net.JoinHostPort(host, port), nil
}
