package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinkerDropsUnusedMethods guards the size of the program: it grows by a fifth as soon as
// something in it looks methods up by name. The names are of methods that only such a program has.
func TestLinkerDropsUnusedMethods(t *testing.T) {
	program, err := os.ReadFile(built.Path(t))
	require.NoError(t, err)
	for _, name := range []string{"text/template.(*state).evalField", "crypto/x509.(*CertPool).AddCertWithConstraint"} {
		require.False(t, bytes.Contains(program, []byte(name)), "%s is linked: go build -ldflags=-dumpdep shows by what (<ReflectMethod>)", name)
	}
	require.True(t, bytes.Contains(program, []byte("duckduckgoose/agent/election.(*Node).Step")), "names of functions are found in it")
}
