package main

import (
	"encoding/json"
	"fmt"
)

// printJSON prints v as one line, as --json does everywhere.
func printJSON(env *environment, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	_, err = env.stdout.Write(append(line, '\n'))
	return err
}
