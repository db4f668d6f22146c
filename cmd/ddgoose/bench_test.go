package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchFlagsSayWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]float64{"20%": 0.2, "0%": 0, "0.5%": 0.005} {
		got, err := parseLoss(text)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-9)
	}
	for _, text := range []string{"", "20", "%", "91%", "-1%", "NaN%"} {
		_, err := parseLoss(text)
		require.ErrorContains(t, err, "want a share from 0% to 90%", text)
	}
	sizes, err := scaleSizes("3,50")
	require.NoError(t, err)
	require.Equal(t, []int{3, 50}, sizes)
	for text, want := range map[string]string{"2": "want 3 or more agents", "3,": "want numbers from 1 to 5000", "9999": "want numbers from 1 to 5000"} {
		_, err := scaleSizes(text)
		require.ErrorContains(t, err, want)
	}
}

func TestABenchThatIsInterruptedLeavesItsReportAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	page := filepath.Join(t.TempDir(), "report.html")
	interrupted := func() {
		var out, errs bytes.Buffer
		code := ddgoose(ctx, []string{"bench", "scale", "--sizes", "3", "--report", page}, bytes.NewReader(nil), &out, &errs)
		require.Equal(t, 1, code)
		require.Empty(t, out.String())
		require.Equal(t, "ddgoose: interrupted: 3 agents: context canceled\n", errs.String())
	}
	interrupted()
	require.NoFileExists(t, page)
	require.NoError(t, os.WriteFile(page, []byte("the last one"), 0o644))
	interrupted()
	kept, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, "the last one", string(kept))
}

func TestTheReportReplacesAnOlderOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("old "), 100_000), 0o644))
	var out, errs bytes.Buffer
	args := []string{"bench", "scale", "--sizes", "3", "--for", "10ms", "--deaths", "0", "--lease", "auto", "--report", path}
	require.Equal(t, 0, ddgoose(t.Context(), args, bytes.NewReader(nil), &out, &errs), errs.String())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "old old")
	require.Contains(t, string(text), "lease 500ms (--lease auto)")
}
