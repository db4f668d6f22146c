package api

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// net/http/pprof would offer profiles on the default mux of every program that
// links this package.

// maxProfile bounds a CPU profile.
const maxProfile = 5 * time.Minute

// profile answers with a profile of Go's runtime, for go tool pprof.
func profile(name string) routeDo {
	return func(_ *handler, w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/octet-stream")
		_ = pprof.Lookup(name).WriteTo(w, 0) // the reader may have gone: nobody is left to tell
		return nil
	}
}

// cpuProfile measures for the seconds of the query, 30 by default, and answers with the profile.
func (h *handler) cpuProfile(w http.ResponseWriter, r *http.Request) error {
	lasts := 30 * time.Second
	if text := r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if lasts = time.Duration(n) * time.Second; err != nil || n == 0 || lasts > maxProfile {
			return Input("seconds %.20q: want 1 to %.0f", text, maxProfile.Seconds())
		}
	}
	ctx, stop := h.whileOpen(r.Context())
	defer stop()
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		return Conflict("%v", err)
	}
	defer pprof.StopCPUProfile()
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
