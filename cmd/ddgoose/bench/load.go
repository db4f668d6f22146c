package bench

import (
	"fmt"
	"os/exec"
	"runtime"

	"duckduckgoose/cmd/ddgoose/flock"
)

// load is processes that only use CPU time.
type load struct {
	spawn *flock.Spawner
	cmds  []*exec.Cmd
}

// spin starts n busy processes per core. They die with this process.
func spin(n int) (*load, error) {
	l := &load{spawn: flock.NewSpawner()}
	for range n * runtime.NumCPU() {
		cmd := exec.Command("/bin/sh", "-c", "while :; do :; done")
		if err := l.spawn.Start(cmd); err != nil {
			l.close()
			return nil, fmt.Errorf("start a busy process: %w", err)
		}
		l.cmds = append(l.cmds, cmd)
	}
	return l, nil
}

func (l *load) close() {
	for _, cmd := range l.cmds {
		_ = cmd.Process.Kill() // it still exists: Wait comes next
		_ = cmd.Wait()         // the error "killed" is expected
	}
	l.spawn.Close()
}
