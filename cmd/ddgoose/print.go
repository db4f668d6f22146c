package main

import (
	"encoding/json"
	"fmt"
	"time"

	"duckduckgoose/agent/api"
)

// printJSON prints v as one line, as --json does everywhere.
func printJSON(env *environment, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	_, err = env.stdout.Write(append(api.EscapeJSON(line), '\n'))
	return err
}

// yesNo returns a bool as tables show it.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// millis returns milliseconds as people read them.
func millis(ms float64) string { return api.Span(time.Duration(ms * float64(time.Millisecond))) }
