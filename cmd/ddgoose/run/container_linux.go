package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// container is a container of Docker or Podman, controlled by the engine's HTTP API.
type container struct {
	name   string
	client *http.Client
}

var _ manager = (*container)(nil)

func newContainer(name string) (*container, error) {
	socket, err := engineSocket()
	if err != nil {
		return nil, err
	}
	return &container{name, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

// engineSocket returns the socket of DOCKER_HOST, else Docker's, else Podman's.
func engineSocket() (string, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		socket, local := strings.CutPrefix(host, "unix://")
		if !local {
			return "", fmt.Errorf("DOCKER_HOST is %s: only an engine of this machine can be used: unix://PATH", host)
		}
		return socket, nil
	}
	sockets := []string{"/var/run/docker.sock", "/run/podman/podman.sock", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "podman/podman.sock")}
	for _, socket := range sockets {
		if _, err := os.Stat(socket); err == nil {
			return socket, nil
		}
	}
	return "", fmt.Errorf("no container engine's socket is at %s; set DOCKER_HOST=unix://PATH", strings.Join(sockets, " or "))
}

// noContainerError: the engine says that there is no such container.
type noContainerError struct{ error }

func (c *container) String() string { return "container " + c.name }
func (c *container) self() string   { return "the engine" }

// ask sends one request about the container and decodes the answer, unless into is nil.
func (c *container) ask(ctx context.Context, method, what string, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://engine/containers/"+url.PathEscape(c.name)+"/"+what, nil)
	if err != nil {
		return err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which means nothing to people
		}
		return fmt.Errorf("ask the engine: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		var said struct{ Message string }
		text, _ := io.ReadAll(io.LimitReader(answer.Body, maxPacket)) // part of the text is better than none
		if json.Unmarshal(text, &said) != nil || said.Message == "" {
			said.Message = fmt.Sprintf("%s: %.200q", answer.Status, text)
		}
		err := fmt.Errorf("the engine says: %s", said.Message)
		if answer.StatusCode == http.StatusNotFound {
			err = noContainerError{err}
		}
		return err
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

func (c *container) start(ctx context.Context) error { return c.ask(ctx, "POST", "start", nil) }
func (c *container) kill(ctx context.Context) error  { return c.ask(ctx, "POST", "kill", nil) }

func (c *container) stop(ctx context.Context, grace time.Duration) error {
	return c.ask(ctx, "POST", "stop?t="+strconv.Itoa(int(math.Ceil(grace.Seconds()))), nil)
}

func (c *container) look(ctx context.Context) (managedState, error) {
	var said struct {
		ID    string
		State struct {
			Running, Paused, Restarting bool
			Pid, ExitCode               int
		}
		HostConfig struct {
			RestartPolicy struct{ Name string }
			AutoRemove    bool
		}
	}
	err := c.ask(ctx, "GET", "json", &said)
	if none := (noContainerError{}); errors.As(err, &none) { // so it does not run: somebody may have removed it
		return managedState{code: CodeNotRunable, refusal: err.Error()}, nil
	}
	if err != nil {
		return managedState{}, err
	}
	s := managedState{id: said.ID, code: said.State.ExitCode}
	s.running = said.State.Running || said.State.Paused || said.State.Restarting || said.State.Pid != 0
	switch policy := said.HostConfig.RestartPolicy.Name; {
	case policy != "" && policy != "no":
		s.refusal = fmt.Sprintf("its restart policy %s starts it where the goose is not: docker update --restart no %s", policy, c.name)
	case said.HostConfig.AutoRemove:
		s.refusal = "it was created with --rm: the engine removes it once it has ended"
	}
	s.whole = s.refusal == "" // else the engine may start it again
	if s.running && said.State.Pid != 0 {
		s.procs = containerProcesses(said.State.Pid, said.ID)
	}
	return s, nil
}

// underWay looks for the container's cgroup where engines make cgroups: an engine first puts
// a process into it, and then executes the image's program in that process.
func (c *container) underWay(id string) *processes {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || id == "" {
		return nil
	}
	var lines []string
	for _, hierarchy := range []string{"0::", "1:freezer:", "1:cpu:"} {
		root := cgroupDir(string(mounts), hierarchy+"/")
		if root == "" {
			continue
		}
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // what cannot be read holds none of them
			if err == nil && d.IsDir() && strings.Contains(d.Name(), id) {
				lines = append(lines, hierarchy+strings.TrimPrefix(path, strings.TrimSuffix(root, "/")))
				return filepath.SkipDir
			}
			return nil
		})
	}
	return findProcesses(lines...)
}

// containerProcesses finds the cgroup of a container by its first process. The
// id in its path proves that the process number is not reused.
func containerProcesses(pid int, id string) *processes {
	text, ok := readProc("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if !ok || id == "" {
		return nil
	}
	var lines []string
	for line := range strings.Lines(text) {
		before, after, its := strings.Cut(strings.TrimSuffix(line, "\n"), id)
		if !its {
			continue
		}
		end, _, _ := strings.Cut(after, "/") // a scope's name goes on after the id; the process may be deeper
		lines = append(lines, before+id+end)
	}
	slices.Sort(lines) // version 2 first: its number is 0
	return findProcesses(lines...)
}
