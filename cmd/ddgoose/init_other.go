//go:build !linux

package main

import "io"

// beInit: only Linux has containers whose first process is not an init.
func beInit(io.Writer) (code int, is bool) { return 0, false }
