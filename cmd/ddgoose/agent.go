package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"duckduckgoose/agent"
	"duckduckgoose/agent/api"
	"duckduckgoose/agent/client"
	runner "duckduckgoose/cmd/ddgoose/run"
)

// reloadWait bounds how long a running agent may take for its new settings.
const reloadWait = 2 * time.Second

func newAgentCommand(env *environment) *cobra.Command {
	var s agentSettings
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent",
		Long: `Runs an agent. It finds the other agents of its flock by gossip, takes part in elections, and answers
on a unix socket. Logs go to stderr.

How a flock begins: --expect N founds one when all N agents see each other. --join alone joins a flock, and never
founds one; the goose makes the agent a voter when one is needed. Without both, an agent with an empty data
directory founds a flock of one and is its goose at once; from its second start on, give it --join.

--join takes HOST[:PORT], srv+NAME for DNS SRV records, and exec:CMD for a command that prints addresses (10s at
most; it takes the rest of a comma list). Each round of calls looks the names up and runs the command again. An empty
--join is an error, because an agent that should join must not found a flock of its own.

With --bind 0.0.0.0 the other agents call the address from which packets to the first of --join leave, or that of the
default route. --advertise sets another: an address, a name, or @eth0 for an address of an interface.

Every flag is also an environment variable (DDGOOSE_DATA_DIR for --data-dir; an empty one is ignored) and a key of the
YAML file --config. A flag beats the environment, which beats the file. In the file, join and election are lists, tag is
a map, and on is a map of events to a command or a list of commands. DDGOOSE_ON has one EVENT=CMD per line.

--election NAME adds an election beside the default one: one flock serves many programs, each with its own goose,
tokens and leases, spread over the agents. All voters vote in it; agents with its name may lead it. The goose
founds it when it hears the name, and it stays for good. A flock has at most 111.

--on EVENT=CMD runs CMD by /bin/sh at an event: goose (this agent became the goose), duck (it is a duck: at its start,
and when it stops being the goose), change (it knows another goose, or none) or member (another agent came, went or
changed). CMD gets DDGOOSE_EVENT, DDGOOSE_NAME, DDGOOSE_TOKEN and more in its environment, and the status or the member
as JSON on stdin. Hooks run one at a time. If they are slow, the newest event replaces older ones (DDGOOSE_SKIPPED says
how many). The goose waits for no hook: use ddgoose run for work that must never run twice.

--check tests the work beside this agent: a command (exit code 0 passes), http://URL or https://URL (200 to 399 passes)
or tcp://HOST:PORT (a connection passes). An agent whose check fails does not lead: it hands over to one whose check
passes. If all fail, there is no goose. The first result counts at once, later ones follow --check-rise and
--check-fall. A frozen flock keeps its goose. In --config, checks is a map:
checks: {nightly-backup: {check: /usr/local/bin/disk-free, check-interval: 10s}}.

--warden starts a small process that waits for the end of this one. If the goose's process dies (kill -9, a crash, out
of memory), the warden tells the others, and they elect at once, not when its lease has ended. It first waits until run,
vip and Go clients on this machine have ended their work, which they do at once. Any other holder keeps the whole lease.

SIGTERM and SIGINT stop the work for the goose, hand over, and end the agent without changing the voters; a second one
ends it at once. SIGHUP reads --config and --key-file again. It changes log level, keys, hooks, tags, priority, preempt,
voters, observer, join and grace; the log names other changes, which need a restart. Signals that were ignored at the
start (nohup: SIGHUP) stay ignored.

Exit codes: 0 stopped or left, 1 error, 2 wrong flags or settings.`,
		Example: `  ddgoose agent
  ddgoose agent --name b --bind 127.0.0.1:0 --join 127.0.0.1
  ddgoose agent --bind 0.0.0.0 --key-file ddgoose.key --expect 3 --join 10.0.0.1,10.0.0.2
  ddgoose agent --election nightly-backup,reports
  ddgoose agent --check http://127.0.0.1:8080/health
  ddgoose agent --on 'change=logger "goose is $DDGOOSE_GOOSE_NAME"'`,
	}
	s.flags()
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(s.set)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		layers := settingLayers{line: commandLine(s.set), lookup: env.lookup}
		if err := layers.fill(&s); err != nil {
			return err
		}
		return (&agentCommand{env: env, layers: layers, settings: &s}).run(cmd.Context())
	}
	return cmd
}

// agentCommand is one run of an agent as a process.
type agentCommand struct {
	env       *environment
	layers    settingLayers
	settings  *agentSettings
	sharedKey string // the file of the key that this user's agents on loopback share; "": not used
	level     slog.LevelVar
	log       *slog.Logger
	network   *faultyNetwork
	hooks     *agentHooks
}

func (c *agentCommand) run(ctx context.Context) error {
	cfg, err := c.settings.config()
	if err != nil {
		return err
	}
	if err := c.settings.runnable(); err != nil {
		return err
	}
	if c.sharedKey, err = c.settings.seal(&cfg); err != nil {
		return err
	}
	c.openLog()
	seed := c.settings.seed
	if c.settings.set.Lookup("netem-seed").Value.String() == "" {
		seed = rand.Uint64()
	}
	if c.network, err = newFaultyNetwork(c.settings.netem, seed, c.log); err != nil {
		return usage("netem: %w", err)
	}
	c.hooks = newAgentHooks(c.settings, cfg.Socket, c.log)
	cfg.Listen, cfg.Logger, cfg.Version, cfg.Counters = c.network.listen, c.log, c.env.version, c.hooks.runner.Counters
	cfg.WallClock = runner.Now
	if _, chosen := c.env.lookup("GOMAXPROCS"); !chosen && !startsPrograms(&cfg, len(c.settings.hooks)) {
		cfg.Busy = new(processors).follow
	}
	a, err := agent.New(cfg)
	if err != nil {
		return c.taken(err, cfg)
	}
	c.log.Info("starting", "name", cfg.Name, "version", cfg.Version, "bind", cfg.Bind, "socket", cfg.Socket, "data_dir", cfg.DataDir,
		"flock", cfg.Flock, "keys", len(cfg.Keys), "key_file", cfg.KeyFile, "heartbeat", cfg.Heartbeat, "lease", cfg.Lease, "auto_lease", cfg.AutoLease, "pid", os.Getpid())
	if err := c.serve(ctx, a, client.New(cfg.Socket)); err != nil {
		return c.taken(err, cfg)
	}
	return nil
}

// serve runs the agent and its hooks under the process's signals, and reports to the
// service manager what self, a client of its socket, sees.
func (c *agentCommand) serve(ctx context.Context, a *agent.Agent, self *client.Client) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, runner.StopSignals()...)
	defer signal.Stop(signals)
	if signal.Ignored(syscall.SIGHUP) {
		c.log.Info("SIGHUP is ignored, as it was at the start: new settings need a restart")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	c.hooks.follow(a, c.settings)
	started := time.AfterFunc(startLasts+rand.N(startLasts), leaveStart)
	defer started.Stop()
	manager := startNotifier(c.env.lookup, a, self, c.log)
	defer manager.close()
	stopping := false
	var repeat runner.Repeat
	var result error
	var over <-chan struct{} // set when the agent has ended; closed when its hooks have ended
	for {
		select {
		case result = <-ended:
			manager.stopping()
			over = c.hooks.over()
		case <-over:
			if result == nil {
				c.log.Info("stopped")
			}
			return result
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP && over != nil: // there is nothing left to reload
			case sig == syscall.SIGHUP:
				done := manager.reloading()
				c.reload(ctx, a)
				done()
			case repeat.Of(sig, time.Now()):
			case stopping && over != nil:
				c.log.Warn("hooks are killed by a second signal", "signal", sig.String())
				c.hooks.kill()
				return result
			case stopping:
				c.hooks.kill()
				// The process ends as in a crash. Everything that the agent must not
				// forget is on disk.
				return fmt.Errorf("stopped at once by a second signal (%v): nothing was handed over", sig)
			default:
				c.log.Info("stopping: handing over first; a second signal stops at once", "signal", sig.String())
				stopping = true
				manager.stopping()
				stop()
			}
		}
	}
}

// reload applies the settings that can change in a running agent: all of them, or none.
func (c *agentCommand) reload(ctx context.Context, a *agent.Agent) {
	now, keys, err := c.readAgain(ctx, a)
	if err != nil {
		c.log.Error("reload refused, all stays as it was", "error", oneLine(err.Error()))
		return
	}
	c.level.Set(level(now.logLevel))
	c.hooks.set(now)
	c.log.Info("reloaded", "log_level", now.logLevel, "keys", keys, "hooks", len(now.hooks), "tags", len(now.Tags), "priority", *now.Priority, "voters", now.Voters)
	if names := c.settings.changed(now); len(names) > 0 {
		c.log.Warn("changed, and takes effect at the next start only", "flags", strings.Join(names, " "))
	}
}

// readAgain reads all settings, and applies those of the agent.
func (c *agentCommand) readAgain(ctx context.Context, a *agent.Agent) (now *agentSettings, keys int, err error) {
	if now, err = c.layers.read(); err != nil {
		return nil, 0, err
	}
	now.KeyFile = cmp.Or(now.KeyFile, c.sharedKey) // no new key is made: it would lock the other agents out
	cfg, err := now.config()
	if err != nil {
		return nil, 0, err
	}
	if err := now.runnable(); err != nil {
		return nil, 0, err
	}
	// Signals wait meanwhile, and the loop may hang on its disk.
	ctx, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	keys = len(cfg.Keys)
	cfg.Keys = nil              // read later, when no key change is writing the file
	_, err = a.Reload(ctx, cfg) // below, the flags that need a restart are named as they were given
	return now, keys, err
}

func (c *agentCommand) openLog() {
	c.env.queueStderr(func(lines uint64) {
		c.log.Warn("log lines were dropped: the reader of stderr stalled or failed", "lines", lines)
	})
	c.level.Set(level(c.settings.logLevel))
	options := &slog.HandlerOptions{Level: &c.level, ReplaceAttr: inWords}
	if c.settings.logFormat == "json" {
		c.log = slog.New(slog.NewJSONHandler(printableJSON{c.env.stderr}, options))
		return
	}
	c.log = slog.New(slog.NewTextHandler(c.env.stderr, options))
}

// printableJSON writes the lines of a JSON log.
type printableJSON struct{ io.Writer }

func (w printableJSON) Write(line []byte) (int, error) {
	if _, err := w.Writer.Write(api.EscapeJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// inWords makes JSON logs write ids and durations as text logs do.
func inWords(_ []string, a slog.Attr) slog.Attr {
	if k := a.Value.Kind(); k == slog.KindDuration || k == slog.KindAny {
		if s, ok := a.Value.Any().(fmt.Stringer); ok {
			return slog.String(a.Key, s.String())
		}
	}
	return a
}

func level(name string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(name)) // the flag takes no other words
	return l
}
