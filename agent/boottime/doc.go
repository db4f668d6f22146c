// Package boottime reads the clock of leases, which runs while the machine sleeps
// (rule 17). Go's own monotonic clock stops then (golang/go issue 24595): after a
// sleep, a goose would still have its lease.
package boottime
