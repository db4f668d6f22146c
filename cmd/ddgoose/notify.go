package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
)

const (
	// notifyEnv names the service manager's socket, by sd_notify(3).
	notifyEnv = "NOTIFY_SOCKET"
	// notifyQueue bounds what waits for a manager that does not read; more is dropped, and logged.
	notifyQueue = 16
	// notifyWait bounds how long the end of the process waits for the manager.
	notifyWait = time.Second
	// looksPerWatchdog is how often the agent is checked within the watchdog's time, so that the
	// manager tolerates a late answer.
	looksPerWatchdog = 4
)

// notifier reports the agent's state to the service manager (systemd): ready once its
// socket answers, which goose it knows, and that its loop runs. The agent never waits
// for it. Without a manager it does nothing.
type notifier struct {
	agent  noticed
	client *client.Client // of the agent's socket
	log    *slog.Logger

	say      chan string // lines of other goroutines, in order
	statuses chan string
	ready    atomic.Bool
	end      context.CancelFunc
	ended    chan struct{}
	stopped  sync.Once
}

// noticed is the part of an agent that the notifier uses.
type noticed interface {
	Status() api.Status
	Watch(ctx context.Context) iter.Seq[api.Status]
	Healthy() error
}

var _ noticed = (*agent.Agent)(nil)

// startNotifier starts to report an agent to the service manager that the environment names.
// c talks to the agent's socket.
func startNotifier(lookup func(string) (string, bool), a noticed, c *client.Client, log *slog.Logger) *notifier {
	n := &notifier{
		agent: a, client: c, log: log, end: func() {}, ended: make(chan struct{}),
		say: make(chan string, notifyQueue), statuses: make(chan string),
	}
	if socket, _ := lookup(notifyEnv); socket == "" {
		close(n.ended)
		return n
	}
	patience, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot use the service manager's watchdog", "error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.end = cancel
	var all sync.WaitGroup
	all.Go(func() { n.tell(ctx) })
	all.Go(func() { n.follow(ctx) })
	all.Go(func() {
		if n.awaitReady(ctx) && patience > 0 {
			n.feedWatchdog(ctx, patience)
		}
	})
	go func() {
		all.Wait()
		close(n.ended)
	}()
	return n
}

// tell sends the reports. No other goroutine talks to the manager.
func (n *notifier) tell(ctx context.Context) {
	for {
		select {
		case state := <-n.say:
			n.send(state)
			continue
		default: // lines in say go first
		}
		select {
		case state := <-n.say:
			n.send(state)
		case text := <-n.statuses:
			n.send("STATUS=" + text)
		case <-ctx.Done():
			for len(n.say) > 0 {
				n.send(<-n.say)
			}
			return
		}
	}
}

func (n *notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot notify the service manager", "state", oneLine(state), "error", err)
	}
}

// enqueue never waits, because its caller also handles signals.
func (n *notifier) enqueue(state string) {
	select {
	case <-n.ended:
		return
	default:
	}
	select {
	case n.say <- state:
	default:
		n.log.Warn("the service manager does not read its socket", "dropped", oneLine(state))
	}
}

// follow reports the agent's state at each change that people should see.
func (n *notifier) follow(ctx context.Context) {
	last := ""
	for s := range n.agent.Watch(ctx) {
		text := managerLine(s)
		if text == last {
			continue
		}
		last = text
		select {
		case n.statuses <- text:
		case <-ctx.Done():
			return
		}
	}
}

// managerLine returns the state as systemctl status shows it.
func managerLine(s api.Status) string {
	who := s.Role
	switch {
	case s.Role == api.RoleDead:
		return "dead by simulation"
	case s.Role == api.RoleDuck && s.Goose != nil:
		who = "duck of " + s.Goose.Name
	case s.Role == api.RoleDuck:
		who = "duck, knows no goose"
	}
	return fmt.Sprintf("%s, term %d", who, s.Term)
}

// awaitReady waits until this agent answers at the socket. It does not wait for a goose: agents
// that start need each other to elect one.
func (n *notifier) awaitReady(ctx context.Context) bool {
	for {
		if s, err := n.client.Status(ctx); err == nil && s.ID == n.agent.Status().ID {
			n.ready.Store(true)
			n.enqueue(daemon.SdNotifyReady)
			return true
		}
		select {
		case <-time.After(waitPause):
		case <-ctx.Done():
			return false
		}
	}
}

// feedWatchdog sends keep-alives to the manager's watchdog while the agent is healthy.
func (n *notifier) feedWatchdog(ctx context.Context, patience time.Duration) {
	tick := time.NewTicker(patience / looksPerWatchdog)
	defer tick.Stop()
	well := true
	for {
		err := n.unwell()
		switch {
		case err == nil:
			n.enqueue(daemon.SdNotifyWatchdog)
		case well && ctx.Err() == nil:
			n.log.Warn("the agent is unhealthy: no keep-alive for the service manager's watchdog", "error", err)
		}
		well = err == nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// unwell returns what is wrong with the agent. It does not ask by the socket, which may be busy. A
// simulated death is not a fault: a restart would end it.
func (n *notifier) unwell() error {
	if n.agent.Status().Role == api.RoleDead {
		return nil
	}
	return n.agent.Healthy()
}

// reloading reports that settings are being read again, until done.
func (n *notifier) reloading() (done func()) {
	if !n.ready.Load() {
		return func() {} // READY=1 must not come before the agent answers
	}
	n.enqueue(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	return func() { n.enqueue(daemon.SdNotifyReady) }
}

// stopping reports that the agent is about to end. A second call does nothing.
func (n *notifier) stopping() { n.stopped.Do(func() { n.enqueue(daemon.SdNotifyStopping) }) }

// close sends the last report, and waits a moment for the manager to take it.
func (n *notifier) close() {
	n.stopping()
	n.end()
	select {
	case <-n.ended:
	case <-time.After(notifyWait):
	}
}
