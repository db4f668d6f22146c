//go:build !linux

package flock

import "syscall"

// dieWithParent does nothing here: agents of a killed driver are left running.
func dieWithParent(*syscall.SysProcAttr) {}
