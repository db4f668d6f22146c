//go:build !unix

package top

import "os"

func inForeground(*os.File) bool { return true }

// stop does nothing where no shell could let us go on.
func stop() error { return nil }
