// Package boottime reads the clock that leases are counted by: the one that
// goes on while the machine sleeps (rule 17). Go's own monotonic clock stops
// then (golang/go issue 24595), and a goose would wake up with its lease.
package boottime
