package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"duckduckgoose/agent/api"
)

const (
	// socketEnv is the variable that names the socket for every client command.
	socketEnv = "DDGOOSE_SOCKET"
	rootsDir  = "/run/ddgoose"
	// FlockFolder is the folder of a local flock, inside [RuntimeDir].
	FlockFolder = "flock"
	// DriverSocket is a local flock's own socket, beside its agents'.
	DriverSocket = "driver.sock"
	socketSuffix = ".sock"
	// probeWait bounds the check whether a socket is live.
	probeWait = time.Second
)

// RuntimeDir returns the folder of the sockets: /run/ddgoose for root, else
// $XDG_RUNTIME_DIR/ddgoose, else a private folder in the temporary directory.
func RuntimeDir() string {
	if os.Geteuid() == 0 {
		return rootsDir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ddgoose")
	}
	return filepath.Join(os.TempDir(), "ddgoose-"+strconv.Itoa(os.Geteuid()))
}

// ErrNoSocket: no agent runs where sockets are looked for.
var ErrNoSocket = errors.New("no agent runs here")

// SeveralError: several agents run, so the caller must name one.
type SeveralError struct {
	Names []string // what --socket takes for each
}

// Error lists the choices.
func (e *SeveralError) Error() string {
	return "several agents run here: choose one with --socket " + strings.Join(e.Names, " or --socket ")
}

// FindSocket returns the path of the socket that named means: a path, or, without a
// slash, an agent's name. "" stands for DDGOOSE_SOCKET, or, if that is not set, for the
// only agent that answers in [RuntimeDir] and its flock folder.
func FindSocket(named string) (string, error) {
	if named == "" {
		named = os.Getenv(socketEnv)
	}
	if strings.Contains(named, "/") {
		return named, api.CheckSocketPath(named)
	}
	folders := []string{RuntimeDir(), filepath.Join(RuntimeDir(), FlockFolder)}
	for _, folder := range folders {
		if err := api.CheckSocketFolder(folder); err != nil {
			return "", err
		}
	}
	switch {
	case named != "":
		for _, folder := range folders {
			path := filepath.Join(folder, named+socketSuffix)
			if _, err := os.Lstat(path); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%w as %s: there is no %s%s in %s or %s (a path needs a slash: ./%s)",
			ErrNoSocket, named, named, socketSuffix, folders[0], folders[1], named)
	}
	live := liveSockets(folders...)
	switch len(live) {
	case 0:
		remedy := "start one with ddgoose agent"
		if _, err := os.Stat(rootsDir); err == nil && folders[0] != rootsDir {
			remedy = "ask with sudo, if the agent is root's or the system's (" + rootsDir + ")"
		}
		return "", fmt.Errorf("%w: nothing answers in %s or %s: %s, or name its socket with --socket", ErrNoSocket, folders[0], folders[1], remedy)
	case 1:
		return live[0], nil
	}
	return "", &SeveralError{Names: shortest(live)}
}

// Agents lists the agents that answer on this machine, by what --socket takes for each.
func Agents() []string {
	return shortest(liveSockets(RuntimeDir(), filepath.Join(RuntimeDir(), FlockFolder)))
}

// liveSockets lists the sockets in these folders where an agent listens.
func liveSockets(folders ...string) (live []string) {
	var paths []string
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, "*"+socketSuffix)) // a folder whose name is a bad pattern has none
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if filepath.Base(path) == DriverSocket {
			continue
		}
		conn, err := net.DialTimeout("unix", path, probeWait)
		if err != nil && !errors.Is(err, os.ErrPermission) {
			continue
		}
		if err == nil {
			_ = conn.Close() // connecting was the whole test
		}
		live = append(live, path)
	}
	return live
}

// shortest returns names where they are unique, else paths.
func shortest(paths []string) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = strings.TrimSuffix(filepath.Base(path), socketSuffix)
	}
	short := slices.Clone(names)
	for i, name := range names {
		if slices.Index(names, name) != i || slices.Contains(names[i+1:], name) {
			short[i] = paths[i]
		}
	}
	return short
}
