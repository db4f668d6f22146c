package flock

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// Use is what the process has used so far: CPU time, and resident memory in MB as
// it is now. It works on Linux only.
func (a *Agent) Use() (cpu time.Duration, rssMB float64, err error) {
	var stat procfs.ProcStat
	proc, err := procfs.NewProc(a.PID())
	if err == nil {
		stat, err = proc.Stat()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the use of agent %s's process (Linux only): %w", a.Name, err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), float64(stat.ResidentMemory()) / (1 << 20), nil
}
