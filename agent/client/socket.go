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
	// socketEnv names the socket for every client command.
	socketEnv = "DDGOOSE_SOCKET"
	// FlockFolder is the folder of a local flock, inside [RuntimeDir].
	FlockFolder = "flock"
	// DriverSocket is a local flock's own socket, beside its agents'.
	DriverSocket = "driver.sock"
	socketSuffix = ".sock"
	// probeWait bounds the look whether a socket is live.
	probeWait = time.Second
)

// RuntimeDir is where sockets live: /run/ddgoose for root, else
// $XDG_RUNTIME_DIR/ddgoose, else a private folder in the temporary directory.
func RuntimeDir() string {
	if os.Geteuid() == 0 {
		return "/run/ddgoose"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ddgoose")
	}
	return filepath.Join(os.TempDir(), "ddgoose-"+strconv.Itoa(os.Geteuid()))
}

// ErrNoSocket says that no agent runs where sockets are looked for.
var ErrNoSocket = errors.New("no agent runs here")

// SeveralError says that the agent meant must be named.
type SeveralError struct {
	Names []string // what --socket takes for each
}

// Error names the choices.
func (e *SeveralError) Error() string {
	return "several agents run here: choose one with --socket " + strings.Join(e.Names, " or --socket ")
}

// FindSocket gives the path of the socket that named means: a path, or, without
// a slash, an agent's name. "" stands for the environment's DDGOOSE_SOCKET,
// else for the only agent that answers in [RuntimeDir] and its flock folder.
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
	var live []string
	for _, folder := range folders {
		live = append(live, liveSockets(folder)...)
	}
	switch len(live) {
	case 0:
		return "", fmt.Errorf("%w: nothing answers in %s or %s: start one with ddgoose agent, or name its socket with --socket", ErrNoSocket, folders[0], folders[1])
	case 1:
		return live[0], nil
	}
	return "", &SeveralError{Names: shortest(live)}
}

// liveSockets lists the agents' sockets of a folder that somebody listens at.
func liveSockets(folder string) (live []string) {
	paths, err := filepath.Glob(filepath.Join(folder, "*"+socketSuffix))
	if err != nil {
		return nil
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
			_ = conn.Close() // it was only asked whether anybody is there
		}
		live = append(live, path)
	}
	return live
}

// shortest gives names where they are unique, else paths.
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
