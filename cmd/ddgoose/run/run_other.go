//go:build !linux

package run

import (
	"context"
	"errors"
	"io"
)

var errSystem = errors.New("run and vip need Linux: no other system lets a process be sure that all its descendants are gone (child subreapers), or gives an address a lifetime; use the Go API's Lead or the client's there")

// Run is there on Linux only.
func Run(context.Context, Options) (int, error) { return 1, errSystem }

// Guard is there on Linux only.
func Guard(_ []string, stderr io.Writer) int {
	_, _ = io.WriteString(stderr, "ddgoose: "+errSystem.Error()+"\n") // nothing else can be done
	return 1
}
