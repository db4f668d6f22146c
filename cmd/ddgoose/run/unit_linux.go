package run

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

// unitManager controls one service by systemd.
type unitManager struct {
	name string

	mu    sync.Mutex // guards what follows
	conn  *dbus.Conn // nil: none yet
	begun uint64     // when the service had last started before this run started it
}

var _ manager = (*unitManager)(nil)

func (u *unitManager) String() string { return "unit " + u.name }
func (u *unitManager) self() string   { return "systemd" }

// bus connects, and connects again after systemd was re-executed.
func (u *unitManager) bus() (*dbus.Conn, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn != nil && u.conn.Connected() {
		return u.conn, nil
	}
	conn, err := dbus.NewWithContext(context.Background()) // the context is the connection's, not this call's
	if err != nil {
		return nil, fmt.Errorf("ask systemd: %w", err)
	}
	if u.conn != nil {
		u.conn.Close()
	}
	u.conn = conn
	return conn, nil
}

func (u *unitManager) start(ctx context.Context) error {
	conn, err := u.bus()
	if err != nil {
		return err
	}
	p, err := u.properties(ctx)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.begun = p.begun()
	u.mu.Unlock()
	_, err = conn.StartUnitContext(ctx, u.name, "replace", nil)
	return err
}

// underWay finds nothing: a unit's processes may come and go while it starts, and only
// systemd knows them.
func (u *unitManager) underWay(string) *processes { return nil }

func (u *unitManager) stop(ctx context.Context, _ time.Duration) error {
	conn, err := u.bus()
	if err != nil {
		return err
	}
	_, err = conn.StopUnitContext(ctx, u.name, "replace", nil)
	return err
}

// kill also stops the unit: a start that waits for other units has no process yet.
func (u *unitManager) kill(ctx context.Context) error {
	if err := u.stop(ctx, 0); err != nil {
		return err
	}
	conn, err := u.bus()
	if err != nil {
		return err
	}
	return conn.KillUnitWithTarget(ctx, u.name, dbus.All, int32(unix.SIGKILL))
}

// properties are systemd's properties of a service.
type properties map[string]any

func (u *unitManager) properties(ctx context.Context) (properties, error) {
	conn, err := u.bus()
	if err != nil {
		return nil, err
	}
	p, err := conn.GetAllPropertiesContext(ctx, u.name)
	if err != nil {
		return nil, fmt.Errorf("ask systemd: %w", err)
	}
	return p, nil
}

func (p properties) text(name string) string { s, _ := p[name].(string); return s }

func (p properties) begun() uint64 { t, _ := p["ExecMainStartTimestampMonotonic"].(uint64); return t }

func (u *unitManager) look(ctx context.Context) (managedState, error) {
	p, err := u.properties(ctx)
	if err != nil {
		return managedState{}, err
	}
	s := managedState{id: u.name, refusal: p.refusal(u.name)}
	job, _ := p["Job"].([]any) // id and path; id 0: none
	waits := len(job) > 0 && job[0] != uint32(0)
	state := p.text("ActiveState")
	s.running = waits || state != "inactive" && state != "failed"
	if path := p.text("ControlGroup"); path != "" {
		s.procs = findProcesses("0::"+path, "1:name=systemd:"+path, "1:cpu:"+path)
	}
	s.whole = s.refusal == "" && state == "active" && !waits && p.startsNothing()
	s.code = p.code(u)
	return s, nil
}

// startsNothing reports whether systemd never starts a process in the active unit when one ends.
func (p properties) startsNothing() bool {
	for _, name := range []string{"ExecStop", "ExecStopPost", "ExecReload", "RestartForceExitStatus"} {
		if !isEmpty(reflect.ValueOf(p[name])) {
			return false
		}
	}
	return true
}

// isEmpty reports whether a property is an empty list, or a list of empty lists.
func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Slice {
		return false // this version of systemd may not have it
	}
	for i := range v.Len() {
		if !isEmpty(v.Index(i)) {
			return false
		}
	}
	return true
}

// ExecMainCode is CLD_EXITED of siginfo after an exit; all other values are signals.
const exited = 1

func (p properties) code(u *unitManager) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	how, _ := p["ExecMainCode"].(int32)
	status, _ := p["ExecMainStatus"].(int32)
	switch {
	case p.begun() == u.begun: // a condition or another unit prevented the start
		return CodeNotRunable
	case how == exited:
		return int(status)
	}
	return codeOfSignal + int(status)
}

// refusal says what could start the unit besides this run; "": nothing.
func (p properties) refusal(name string) string {
	switch state := p.text("UnitFileState"); {
	case p.text("LoadState") != "loaded":
		return "systemd has no such unit: LoadState=" + p.text("LoadState")
	case p.text("Restart") != "no":
		return fmt.Sprintf("Restart=%s starts it where the goose is not: set Restart=no; ddgoose run --restart does it", p.text("Restart"))
	case strings.HasPrefix(state, "enabled"):
		return "it is enabled, so systemd starts it at boot: systemctl disable " + name
	}
	for _, by := range []string{"TriggeredBy", "WantedBy", "RequiredBy", "BoundBy", "UpheldBy"} {
		if others, _ := p[by].([]string); len(others) > 0 {
			return fmt.Sprintf("%s starts it where the goose is not (%s): disable that", strings.Join(others, ", "), by)
		}
	}
	return ""
}
