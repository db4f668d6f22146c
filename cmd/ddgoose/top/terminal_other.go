//go:build !unix

package top

import "os"

func inForeground(*os.File) bool { return true }

// stop does nothing: this system has no job control.
func stop() error { return nil }
