package agent

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/internal/warden"
)

// embeddedEnv makes this test program one with an agent in it, which joins this address.
const embeddedEnv = "DDGOOSE_TEST_EMBEDDED"

// patiently has a lease that ends long after a last will has been read.
func patiently(name string, join ...string) Config {
	return Config{
		Name: name, Bind: "127.0.0.1:0", Socket: NoSocket, Expect: 3, Join: join,
		Heartbeat: 2 * time.Second, Lease: 10 * time.Second,
	}
}

// embedded works while its agent is the goose, which it is.
func embedded(addr string) {
	cfg := patiently("e", addr)
	cfg.Priority, cfg.Warden = new(uint8(200)), true
	cfg.Preempt, cfg.PreemptAfter = true, time.Second
	var err error
	if cfg.DataDir, err = os.MkdirTemp("", "ddg"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(cfg.DataDir)
	a, err := New(cfg)
	if err != nil {
		panic(err)
	}
	go func() {
		panic(a.Lead(context.Background(), func(ctx context.Context, _ Lease) error {
			fmt.Println(cfg.DataDir)
			<-ctx.Done()
			return nil
		}))
	}()
	panic(a.Run(context.Background()))
}

// The program works by its lease, in its own process, and is killed: so is the work.
func TestAnEmbeddedProgramLeavesALastWill(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has wardens")
	}
	b, _ := runReal(t, patiently("b", "127.0.0.1:1"))
	apitest.Eventually(t, func() bool { return !strings.HasSuffix(b.Status().Addr, ":0") }, "b has a port")
	c, _ := runReal(t, patiently("c", b.Status().Addr))
	self, err := os.Executable()
	require.NoError(t, err)
	program := exec.Command(self)
	program.Env = append(os.Environ(), embeddedEnv+"="+b.Status().Addr)
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Kill() // it may be gone
		_ = program.Wait()
	})
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "it works")
	t.Cleanup(func() { _ = os.RemoveAll(lines.Text()) })
	var dead string
	for _, a := range []*Agent{b, c} {
		apitest.Eventually(t, func() bool { s := a.Status(); return s.Goose != nil && s.Goose.Name == "e" }, "both know the goose")
		dead = a.Status().Goose.ID
	}
	require.NoError(t, program.Process.Kill())
	for _, a := range []*Agent{b, c} {
		apitest.Eventually(t, func() bool { s := a.Status(); return s.Goose != nil && s.Goose.ID != dead }, "another goose")
	}
	ended := map[string]bool{}
	for _, a := range []*Agent{b, c} {
		for _, p := range a.byDefault().History().Periods {
			if p.ID == dead {
				ended[p.Ended] = true
			}
		}
	}
	require.True(t, ended["died"], "%v", ended)
}

// Without its place in the list, a will would end the promises while work in another process goes on.
func TestAHolderOutsideIsInTheWardensListWhileItWorks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has wardens")
	}
	w, err := warden.Start(warden.Options{Wait: time.Second})
	require.NoError(t, err)
	defer w.Close()
	a := &Agent{warden: w}
	h, inside := &holder{agent: a, at: &local{}, outside: true}, &holder{agent: a, at: &local{}}
	for range 2 {
		h.bind(7)
		require.Equal(t, new(warden.Slot(0)), h.mu.slot)
		h.bind(8)
		require.Equal(t, new(warden.Slot(0)), h.mu.slot, "in one place")
		require.EqualValues(t, 8, h.mu.token)
		h.bind(0)
		require.Nil(t, h.mu.slot)
		h.bind(0)
		require.Nil(t, h.mu.slot)
	}
	inside.bind(7)
	require.Nil(t, inside.mu.slot, "it dies with the agent")
	require.Equal(t, uint64(warden.NoProof), a.newProof(), "nobody could say that its work is gone")
	a.wardenSocket = "w"
	require.NotEqual(t, a.newProof(), a.newProof(), "nobody else can say it")
}
