// Package pgtest runs Debian's PostgreSQL in tests, on Linux.
package pgtest
