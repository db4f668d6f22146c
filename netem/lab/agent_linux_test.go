package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent"
	"duckduckgoose/agent/client"
	"duckduckgoose/agent/health"
	"duckduckgoose/agent/port"
	"duckduckgoose/netem/transport"
)

// agentEnv makes the test binary run an agent: its agent.Config as JSON.
const agentEnv = "DDGOOSE_LAB_AGENT"

func TestMain(m *testing.M) {
	if cfg := os.Getenv(agentEnv); cfg != "" {
		if err := runAgent(cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// build builds ddgoose in dir.
func build(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ddgoose")
	out, err := exec.Command("go", "build", "-o", path, "duckduckgoose/cmd/ddgoose").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// settings are the part of an agent.Config that differs from agent to agent.
type settings struct {
	Name, Bind, Socket, DataDir string
	Join                        []string
	Expect                      int
	Key                         []byte
	Seed                        uint64
	Lease                       time.Duration // 0: that of the profile lan
	Check                       health.Check
}

func runAgent(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("read %s: %w", agentEnv, err)
	}
	a, err := agent.New(agent.Config{
		Name: s.Name, Bind: s.Bind, Socket: s.Socket, DataDir: s.DataDir, Join: s.Join, Expect: s.Expect,
		Keys: [][]byte{s.Key}, Lease: s.Lease, Check: s.Check, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Listen: func(bind string) (agent.Transport, agent.Faults, error) {
			base, err := port.ListenUDP(bind, slog.Default())
			if err != nil {
				return nil, nil, err
			}
			t := transport.Wrap(base, s.Seed)
			return t, t, nil
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	return a.Run(ctx)
}

// member is one agent of the lab and the host it runs on.
type member struct {
	settings
	*host
	log  string
	proc *os.Process // nil: none runs
	gone chan error
}

func (m *member) client() *client.Client { return client.New(m.Socket) }

// start starts the agent's process on its host.
func (m *member) start() error {
	cfg, err := json.Marshal(m.settings)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), agentEnv+"="+string(cfg))
	cmd.Stdout, cmd.Stderr = out, out
	if err := m.host.start(cmd); err != nil {
		return fmt.Errorf("start agent %s: %w", m.Name, err)
	}
	m.proc, m.gone = cmd.Process, make(chan error, 1)
	go func() { m.gone <- cmd.Wait() }()
	return nil
}

// end sends the process a signal and waits for its end.
func (m *member) end(sig os.Signal) error {
	if m.proc == nil {
		return nil
	}
	if err := m.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-m.gone
	m.proc = nil
	return err
}

// newMember makes the i-th agent, in a folder of its own below dir.
func newMember(dir string, i, expect int, h *host, key []byte) *member {
	name := string(rune('a' + i))
	return &member{
		settings: settings{
			Name: name, Bind: "0.0.0.0:3825", Socket: filepath.Join(dir, name+".sock"), DataDir: filepath.Join(dir, name),
			Join: []string{subnet(1, 2).Addr().String(), subnet(2, 2).Addr().String()}, Expect: expect, Key: key, Seed: uint64(i + 1),
		},
		host: h, log: filepath.Join(dir, name+".log"),
	}
}
