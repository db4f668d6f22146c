package hooks

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what an event is about.
type Kind string

// The kinds of events.
const (
	Goose  Kind = "goose"  // this agent is the goose now, or again with another token
	Duck   Kind = "duck"   // this agent is not the goose: at its start, and when it is none any more
	Change Kind = "change" // another goose, another token, or none, as this agent knows it
	Member Kind = "member" // another agent came, went, or tells something else of itself
)

var kinds = []Kind{Goose, Duck, Change, Member}

// Hook is a command for the shell, run at every event of a kind.
type Hook struct {
	On      Kind
	Command string
}

// Parse reads EVENT=COMMAND.
func Parse(word string) (Hook, error) {
	on, command, _ := strings.Cut(word, "=")
	h := Hook{Kind(on), strings.TrimSpace(command)}
	if !slices.Contains(kinds, h.On) || h.Command == "" {
		return Hook{}, fmt.Errorf("want goose, duck, change or member, and a command for the shell, as goose=./take-over.sh")
	}
	return h, nil
}
