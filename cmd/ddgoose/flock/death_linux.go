package flock

import "syscall"

// dieWithParent makes the kernel end the agent when the driver is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
