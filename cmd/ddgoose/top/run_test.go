package top

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3/color"
	"github.com/gdamore/tcell/v3/vt"
	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/client"
)

// soon bounds every wait for what must happen.
const soon = apitest.Patience

// still is a source whose flock changes when a test says so.
type still struct {
	mu      sync.Mutex
	picture Picture
	changed chan struct{}
	panics  bool
	client  *client.Client
}

func (s *still) Take() (Picture, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic("no luck")
	}
	return s.picture, s.changed
}

func (s *still) Client(string) *client.Client { return s.client }

func (s *still) change(p Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.picture = p
	close(s.changed)
	s.changed = make(chan struct{})
}

// watched is an emulated terminal that tells whether it was given back.
type watched struct {
	vt.MockTerm
	taken atomic.Bool
}

func (w *watched) Start() error { w.taken.Store(true); return w.MockTerm.Start() }
func (w *watched) Stop() error  { w.taken.Store(false); return w.MockTerm.Stop() }

// text is what stands on the terminal.
func (w *watched) text() string { return screenText(w.MockTerm) }

func screenText(t vt.MockTerm) string {
	size := t.Backend().GetSize()
	var b strings.Builder
	for y := range size.Y {
		for x := range size.X {
			b.WriteString(t.GetCell(vt.Coord{X: x, Y: y}).C)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (w *watched) shows(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(w.text(), text) }, soon, 5*time.Millisecond, "%s", text)
}

// running is a screen that runs.
type running struct {
	*still
	*watched
	ended chan error
	stop  context.CancelFunc
}

func start(t *testing.T, o Options) *running {
	t.Helper()
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("LC_ALL", "C.UTF-8")
	r := &running{
		still:   &still{picture: shot(0, "", up("a", "a", 6), up("b", "a", 6)), changed: make(chan struct{})},
		watched: &watched{MockTerm: vt.NewMockTerm()}, ended: make(chan error, 1),
	}
	o.Source, o.tty = r.still, r.watched
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	t.Cleanup(cancel)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				r.ended <- errors.New(p.(string))
			}
		}()
		r.ended <- Run(ctx, o)
	}()
	return r
}

// end waits for the end, and gives its error.
func (r *running) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		require.False(t, r.taken.Load(), "the terminal is given back")
		return err
	case <-time.After(soon):
		require.FailNow(t, "it runs still")
		return nil
	}
}

func TestScreenFollowsTheFlockAndTheKeys(t *testing.T) {
	r := start(t, Options{Colour: true})
	r.shows(t, "a is the goose")
	r.change(shot(time.Second, "", up("a", "", 6), up("b", "", 6)))
	r.shows(t, "NO GOOSE")
	r.change(shot(1480*time.Millisecond, "", up("a", "b", 7), up("b", "b", 7)))
	r.shows(t, "b is the goose, term 7: 480ms without one")
	r.SendRaw([]byte("s"))
	r.shows(t, "sort: role")
	r.SetSize(vt.Coord{X: 40, Y: 10})
	require.Eventually(t, func() bool { return strings.HasPrefix(strings.Split(r.text(), "\n")[9], "q quit") }, soon, 5*time.Millisecond)
	r.SendRaw([]byte("q"))
	require.NoError(t, r.end(t))
}

func TestScreenActsOnceAPersonHasConfirmed(t *testing.T) {
	killed := make(chan string, 1)
	refuse := errors.New("refused")
	r := start(t, Options{Actions: []Action{{
		Key: "K", Word: "kill",
		Says: func(a Agent) string { return "kill " + a.Name },
		Do: func(_ context.Context, a Agent) error {
			killed <- a.Name
			return refuse
		},
	}}})
	r.shows(t, "K kill")
	r.SendRaw([]byte("K"))
	r.shows(t, "kill a? ")
	r.SendRaw([]byte("n"))
	require.Eventually(t, func() bool { return !strings.Contains(r.text(), "kill a?") }, soon, 5*time.Millisecond)
	require.Empty(t, killed)
	r.SendRaw([]byte("Ky"))
	r.shows(t, "refused")
	require.Equal(t, "a", <-killed)
	r.SendRaw([]byte("q"))
	require.NoError(t, r.end(t))
}

func TestScreenLooksIntoAnAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "top")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "a.sock")
	ln, err := api.ListenSocket(socket, 0o600)
	require.NoError(t, err)
	agent := apitest.New()
	agent.Change(func(s *api.Status) { s.Counters = map[string]uint64{"honks": 1} })
	server := api.NewServer(agent, api.Local, nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	r := start(t, Options{
		Status: func(s api.Status) string { return "status of " + s.Name },
		Why:    func(w *api.Why) string { return "why of " + w.Name },
	})
	r.client = client.New(socket)
	r.shows(t, "a is the goose")
	r.SendRaw([]byte("\r"))
	r.shows(t, "status of "+apitest.Status().Name)
	r.shows(t, "why of ")
	agent.Change(func(s *api.Status) { s.Counters = map[string]uint64{"honks": 3} })
	r.shows(t, "honks")
	r.stop()
	require.NoError(t, r.end(t))
}

func TestScreenGivesTheTerminalBackHoweverItEnds(t *testing.T) {
	for what, end := range map[string]func(r *running){
		"ctrl-c":  func(r *running) { r.SendRaw([]byte{3}) },
		"context": func(r *running) { r.stop() },
		"over": func(r *running) {
			r.change(shot(0, "over"))
		},
		"panic": func(r *running) {
			r.mu.Lock()
			r.panics = true
			r.mu.Unlock()
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t, Options{Over: func(p *Picture) error {
				if p.Faults == "over" {
					return errors.New("nothing to see")
				}
				return nil
			}})
			r.shows(t, "a is the goose")
			require.True(t, r.taken.Load())
			end(r)
			err := r.end(t)
			switch what {
			case "over":
				require.EqualError(t, err, "nothing to see")
			case "panic":
				require.EqualError(t, err, "no luck")
			default:
				require.NoError(t, err)
			}
		})
	}
}

// inks are the colours on the terminal, and behind them.
func (w *watched) inks() map[[2]color.Color]bool {
	inks := map[[2]color.Color]bool{}
	size := w.Backend().GetSize()
	for y := range size.Y {
		for x := range size.X {
			s := w.GetCell(vt.Coord{X: x, Y: y}).S
			inks[[2]color.Color{s.Fg(), s.Bg()}] = true
		}
	}
	return inks
}

func TestScreenWithoutColourOrSigns(t *testing.T) {
	plain := [2]color.Color{color.Silver, color.Black} // the emulator's own
	for _, colour := range []bool{true, false} {
		r := start(t, Options{Colour: colour})
		r.shows(t, "q quit")
		inks := r.inks()
		require.True(t, inks[plain])
		require.Equal(t, colour, inks[[2]color.Color{color.Black, color.Green}], "the goose's badge")
		require.Equal(t, colour, len(inks) > 1, "%v", inks)
		r.stop()
		require.NoError(t, r.end(t))
	}
	t.Setenv("LC_ALL", "C")
	tm, err := openTerminal(vt.NewMockTerm(), false)
	require.NoError(t, err)
	require.Equal(t, &asciiGlyphs, tm.glyphs())
	tm.Fini()
}

func TestPanicElsewhereGivesTheTerminalBack(t *testing.T) {
	r := start(t, Options{})
	r.shows(t, "a is the goose")
	require.PanicsWithValue(t, "no luck", func() {
		defer Rescue()
		panic("no luck")
	})
	require.NoError(t, r.end(t))
	require.PanicsWithValue(t, "again", func() {
		defer Rescue()
		panic("again")
	}, "there is no terminal to give back")
}
