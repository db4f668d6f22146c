//go:build !linux

package port

import "syscall"

// shortSegments does nothing: here an unconnected socket cannot limit its segments.
func shortSegments(_, _ string, _ syscall.RawConn) error { return nil }
