package soak

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// outDir keeps what a person should look at; make clean takes it away.
const outDir = "../../../out/soak"

// TestShortSoakAndItsReport soaks a flock for a minute, and looks at the report in a browser.
func TestShortSoakAndItsReport(t *testing.T) {
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" {
		t.Skip("SKIPPED: this takes minutes; set DDGOOSE_TEST_EXTRA to run it")
	}
	out, err := filepath.Abs(outDir)
	require.NoError(t, err)
	report := soakFor(t, time.Minute, out)
	require.Positive(t, report.Total())
	require.Positive(t, report.Failovers)
	require.Positive(t, report.History.Accepted)

	for _, page := range []struct {
		name          string
		width, height int64
		scheme        string
	}{
		{"light", 1280, 1000, "light"}, {"dark", 1280, 1000, "dark"}, {"phone", 420, 900, "light"},
	} {
		t.Run(page.name, func(t *testing.T) {
			b := openBrowser(t, page.width, page.height, page.scheme)
			b.open(filepath.Join(out, "report.html"))
			b.shows(report)
			b.keep(filepath.Join(out, page.name+".png"))
		})
	}
}

// soakFor runs the real command.
func soakFor(t *testing.T, d time.Duration, out string) *Report {
	t.Helper()
	var binary apitest.Binary
	t.Cleanup(func() { require.NoError(t, binary.Remove()) })
	require.NoError(t, os.RemoveAll(out))
	require.NoError(t, os.MkdirAll(out, 0o755))
	cmd := exec.Command(binary.Path(t), "soak", "--agents", "7", "--for", d.String(), "--seed", "7", "--out", out)
	text, err := cmd.CombinedOutput()
	t.Logf("%s", text)
	require.NoError(t, err, "every promise kept is exit code 0")
	text, err = os.ReadFile(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	var r Report
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, Good, r.Verdict)
	return &r
}

// browser is a headless browser, and what it complains of and asks for.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex // guards what follows
	asked      []string
	complaints []string
}

func openBrowser(t *testing.T, width, height int64, scheme string) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: no browser is installed (apt-get install chromium), so nobody looked at the report")
	}
	ctx, cancel := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(time.Minute)))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.hear)) // network and log are on by themselves
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, height)))
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(t, err)
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	page := (&url.URL{Scheme: "file", Path: path}).String()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Navigate(page), chromedp.WaitVisible("#timeline")))
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(b.t, []string{page}, b.asked, "the page needs nothing beside it")
	require.Empty(b.t, b.complaints)
}

// eval returns what the page makes of some JavaScript.
func eval[T any](b *browser, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	require.NoError(b.t, err, js)
	return v
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(selector))
	require.NoError(b.t, err, selector)
	return text
}

// shows checks the page against the report.
func (b *browser) shows(r *Report) {
	b.t.Helper()
	require.Equal(b.t, "every promise kept", b.text("#verdict"))
	require.Contains(b.t, b.text("#tiles"), "0 broke a promise")

	count := func(selector string) int { return eval[int](b, "document.querySelectorAll(`"+selector+"`).length") }
	strips := 1 + len(r.Strips())
	times := min(strips, 2) // in the overview, and in a strip if there are any
	require.Equal(b.t, strips, count("svg.strip"))
	require.Equal(b.t, len(r.Promises()), count("#promises tr"))
	require.GreaterOrEqual(b.t, count("rect.goose"), times*len(r.GoosePeriods))
	require.GreaterOrEqual(b.t, count("rect.gap"), times*len(r.Gaps))
	struck := 0
	for _, s := range r.Struck {
		if s.Skipped == "" {
			struck++
		}
	}
	require.GreaterOrEqual(b.t, count("rect.fault"), times*struck)
	require.Zero(b.t, count("rect.violation"))
	require.Equal(b.t, 2*len(r.Agents), count("svg.spark"), "memory and goroutines of each agent")
	require.Equal(b.t, len(r.Agents)+1, count("#traffic tr"))
	require.Equal(b.t, len(r.Causes)+1, count("#causes tr"))

	require.False(b.t, eval[bool](b, "document.documentElement.scrollWidth > window.innerWidth"), "nothing sticks out of the page")
	require.Empty(b.t, eval[[]string](b, `[...document.querySelectorAll("rect")].filter(r => !(r.getBBox().width > 0)).map(r => r.outerHTML)`),
		"everything drawn can be seen")
	text := b.text("body")
	for _, bad := range []string{"NaN", "%!", "<no value>", "undefined"} {
		require.NotContains(b.t, text, bad)
	}
	require.Contains(b.t, text, "seed 7")
}

// keep writes a screenshot of the whole page.
func (b *browser) keep(path string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(path, png, 0o644))
	b.t.Logf("screenshot: %s", path)
}
