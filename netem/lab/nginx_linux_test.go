package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"duckduckgoose/agent/api"
	"duckduckgoose/agent/api/apitest"
	"duckduckgoose/agent/health"
)

// nginxCheck is the same on all hosts: each asks the nginx beside it.
var nginxCheck = health.Check{Ask: "http://127.0.0.1:8080/", Interval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}.Default()

const nginxConf = `daemon off;
error_log stderr;
events {}
http {
	access_log off;
	server {
		listen 127.0.0.1:8080;
		return 200 "well";
	}
}
`

// toFail is how long nginx may be gone until the check says so.
var toFail = time.Duration(nginxCheck.Fall)*nginxCheck.Interval + nginxCheck.Timeout

// slack is what a busy machine may add to what the check was told to do.
const slack = 3 * time.Second

// webs are an nginx on each host of a lab.
type webs struct {
	*lab
	t         *testing.T
	path, dir string
	binary    string
	run       map[string]*exec.Cmd // by agent
}

// openWebs founds a flock of three beside its webs.
func openWebs(t *testing.T) *webs {
	extra(t)
	w := &webs{t: t, path: apitest.Program(t, "nginx", "nginx-light"), dir: t.TempDir(), run: map[string]*exec.Cmd{}}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "conf"), []byte(nginxConf), 0o600))
	w.lab = open(t, 3, inKernel, func(m *member) {
		m.Lease, m.Check = calm, nginxCheck
		w.start(m)
	})
	w.binary = build(t, w.dir)
	return w
}

func (w *webs) start(m *member) {
	w.t.Helper()
	cmd := exec.Command(w.path, "-p", w.dir, "-c", "conf", "-g", "pid "+m.Name+".pid;")
	cmd.Stderr = w.t.Output()
	require.NoError(w.t, m.host.start(cmd))
	w.run[m.Name] = cmd
	w.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
			_ = cmd.Wait() // by that signal
		}
	})
}

// fail makes the check of an agent fail: nginx ends by this signal, or hangs by SIGSTOP.
func (w *webs) fail(name string, sig unix.Signal) {
	w.t.Helper()
	require.NoError(w.t, unix.Kill(-w.run[name].Process.Pid, sig)) // master and worker
	if sig != unix.SIGSTOP {
		_ = w.run[name].Wait() // by that signal
	}
}

// mend makes it pass again, and waits until it does.
func (w *webs) mend(name string) {
	w.t.Helper()
	if cmd := w.run[name]; cmd.ProcessState == nil {
		require.NoError(w.t, unix.Kill(-cmd.Process.Pid, unix.SIGCONT))
	} else {
		w.start(w.member(name))
	}
	w.say(true, name)
}

// say waits until each of these says that its check passes, or fails.
func (w *webs) say(well bool, names ...string) {
	w.t.Helper()
	w.watch.until(fmt.Sprintf("%v say well: %v", names, well), func(all map[string]api.Status) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return all[name].Well == nil || *all[name].Well != well })
	})
}

// becomes waits until one of these is the goose, and demands that it is in time.
func (w *webs) becomes(names []string, how string, most time.Duration) (goose string) {
	w.t.Helper()
	begun := time.Now()
	w.watch.until(how, func(all map[string]api.Status) bool {
		goose = gooseOf(all, names)
		return goose != ""
	})
	took := time.Since(begun)
	w.t.Logf("%s: %s is the goose %d ms later", how, goose, took.Milliseconds())
	require.LessOrEqual(w.t, took, most+slack)
	return goose
}

// TestTheGooseIsWhereNginxAnswers has a real nginx beside each agent, and --check.
func TestTheGooseIsWhereNginxAnswers(t *testing.T) {
	w := openWebs(t)
	w.say(true, w.names()...)
	for how, sig := range map[string]unix.Signal{"nginx is stopped": unix.SIGTERM, "nginx is killed": unix.SIGKILL, "nginx hangs": unix.SIGSTOP} {
		goose := w.settled()
		w.fail(goose, sig)
		w.becomes(w.others(goose), how, toFail+calm)
		w.say(false, goose)
		w.mend(goose)
	}
	third := w.twoInTurn()
	w.all(third)
	for _, name := range []string{third, w.others(third)[0]} { // however soon after the last time
		w.mend(name)
		w.becomes([]string{name}, "one is well again", calm)
		w.fail(name, unix.SIGTERM)
		begun := time.Now()
		w.watch.silent(w.names(), 0, 0)
		t.Logf("and unwell again: no goose %d ms later", time.Since(begun).Milliseconds())
		require.LessOrEqual(t, time.Since(begun), toFail+calm+slack)
	}
}

// twoInTurn has two of three unwell, the goose too, and then each well in turn:
// the third is the goose, and stays it.
func (w *webs) twoInTurn() (third string) {
	w.t.Helper()
	goose := w.settled()
	other := w.others(goose)[0]
	w.fail(other, unix.SIGSTOP)
	w.say(false, other)
	w.fail(goose, unix.SIGSTOP)
	third = w.becomes(w.others(goose), "two of three hang", toFail+calm)
	require.NotEqual(w.t, other, third)
	periods := len(w.watch.periodsSoFar())
	for range 3 {
		w.say(false, goose, other)
		w.mend(other)
		w.fail(other, unix.SIGTERM)
		w.mend(goose)
		w.say(false, other)
		w.fail(goose, unix.SIGTERM)
	}
	w.say(false, goose, other)
	require.Equal(w.t, third, w.watch.goose(w.names()))
	require.Len(w.t, w.watch.periodsSoFar(), periods, "%v", w.watch.periodsSoFar())
	return third
}

// all has the last one fail too: nobody is the goose, and each agent names all three.
func (w *webs) all(last string) {
	w.t.Helper()
	w.fail(last, unix.SIGTERM)
	w.say(false, last)
	w.watch.silent(w.names(), 0, 2*calm)
	w.watch.until("warnings name all", func(all map[string]api.Status) bool {
		for _, name := range w.names() {
			if !w.blames(strings.Join(all[name].Warnings, "\n"), name) {
				return false
			}
		}
		return true
	})
	for _, m := range w.members {
		for _, command := range []string{"status", "why"} {
			out, err := exec.Command(w.binary, command, "--socket", m.Socket).CombinedOutput()
			if exited := new(exec.ExitError); err != nil {
				require.ErrorAs(w.t, err, &exited)
			}
			require.True(w.t, w.blames(string(out), m.Name), "%s at %s: %s", command, m.Name, out)
			if command == "why" {
				require.Contains(w.t, string(out), "nobody may lead: the check of every voter that answers fails")
			}
		}
		require.Contains(w.t, read(w.t, m.log), "check="+nginxCheck.Ask)
	}
}

// blames tells whether what an agent says names the checks of all three, and why its own fails.
func (w *webs) blames(text, own string) bool {
	others := strings.Join(w.others(own), ", ")
	return strings.Contains(text, "connection refused") && (strings.Contains(text, "the check of "+others+" fails") || // a warning
		!slices.ContainsFunc(w.others(own), func(other string) bool { return !strings.Contains(text, "the check of "+other+" fails") })) // reasons
}
