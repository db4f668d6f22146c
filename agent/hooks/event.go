package hooks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"duckduckgoose/agent/api"
)

// Event is something that happened, with the state right after it.
type Event struct {
	Kind    Kind
	Seq     uint64 // number of the event in this process, from 1; each run of a hook sees a higher one
	Skipped int    // older events about the same thing that this one replaced, unseen by any hook
	Status  api.Status
	Member  *api.Member // of a Member event
	Was     string      // the member's state in the last event about it; "": this is the first

	// only lists the hooks that get this event; nil: all. New hooks get the present state
	// this way.
	only []Hook
}

// document returns the text for a hook's stdin: the member, or the status.
func (e *Event) document() ([]byte, error) {
	if e.Member != nil {
		return json.Marshal(e.Member)
	}
	return json.Marshal(e.Status)
}

// prefix begins the names of our environment variables.
const prefix = "DDGOOSE_"

// forManager lists the variables by which the agent talks to the service manager. A hook
// that inherits them could report READY=1, or feed the watchdog.
var forManager = []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// environ returns a hook's environment: base without DDGOOSE_ settings and without the
// service manager's variables, then the event's variables.
//
//	DDGOOSE_EVENT                    goose, duck, change or member
//	DDGOOSE_EVENT_SEQ                number of the event, growing
//	DDGOOSE_SKIPPED                  older events about the same subject that no hook saw
//	DDGOOSE_NAME _ID _ADDR _ROLE     this agent
//	DDGOOSE_FLOCK _FLOCK_ID          its flock
//	DDGOOSE_TERM                     its term
//	DDGOOSE_TOKEN                    the known goose's token, 0 for none
//	DDGOOSE_SOCKET                   its socket, as for ddgoose status
//	DDGOOSE_GOOSE_NAME _GOOSE_ADDR   the goose it knows, empty for none
//	DDGOOSE_MEMBER_NAME _ID _ADDR    of a member event
//	DDGOOSE_MEMBER_STATE             alive, suspect, failed or left
//	DDGOOSE_MEMBER_WAS               its state before, empty for a new one
func (e *Event) environ(base []string, socket string) []string {
	var env []string
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, prefix) && !slices.Contains(forManager, name) {
			env = append(env, kv)
		}
	}
	add := func(name string, value any) {
		env = append(env, prefix+name+"="+api.Clean(fmt.Sprint(value)))
	}
	s := &e.Status
	add("EVENT", e.Kind)
	add("EVENT_SEQ", e.Seq)
	add("SKIPPED", e.Skipped)
	add("NAME", s.Name)
	add("ID", s.ID)
	add("ADDR", s.Addr)
	add("ROLE", s.Role)
	add("FLOCK", s.Flock)
	add("FLOCK_ID", s.FlockID)
	add("TERM", s.Term)
	add("TOKEN", s.Token)
	env = append(env, prefix+"SOCKET="+socket) // our own path needs no cleaning
	goose := api.Goose{}
	if s.Goose != nil {
		goose = *s.Goose
	}
	add("GOOSE_NAME", goose.Name)
	add("GOOSE_ADDR", goose.Addr)
	if m := e.Member; m != nil {
		add("MEMBER_NAME", m.Name)
		add("MEMBER_ID", m.ID)
		add("MEMBER_ADDR", m.Addr)
		add("MEMBER_STATE", m.State)
		add("MEMBER_WAS", e.Was)
	}
	return env
}
