package hooks

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is the kind of an event.
type Kind string

// The kinds of events.
const (
	Goose  Kind = "goose"  // this agent became the goose, or got another token
	Duck   Kind = "duck"   // this agent is not the goose: at its start, and when it stops being the goose
	Change Kind = "change" // this agent knows another goose, another token, or no goose
	Member Kind = "member" // another agent came, went, or changed
)

var kinds = []Kind{Goose, Duck, Change, Member}

// Hook is a shell command that runs at every event of one kind.
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
