package deploy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// blocks returns the code blocks of a text that begin with ```INFO, and fails if there are none.
func blocks(t *testing.T, file, info string) (all []string) {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(info) + "\n(.*?)^```$")
	for _, m := range fence.FindAllStringSubmatch(read(t, filepath.Join(root, file)), -1) {
		all = append(all, m[1])
	}
	require.NotEmpty(t, all, "%s has no block of %s", file, info)
	return all
}

// shells start a shell as people have it, interactive, where zsh takes # for an argument, but without settings of their own.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"bash": {"bash", "--norc", "-i"}, "zsh": {"zsh", "-f", "-i"}}
	for name := range all {
		if _, err := exec.LookPath(name); err != nil {
			aptInstall(t, name)
		}
	}
	return all
}

// aptInstall installs a package, in make test-extra and as root only.
func aptInstall(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("DDGOOSE_TEST_EXTRA") == "" || os.Getuid() != 0 {
		return // the tests that need it skip aloud
	}
	if out, err := exec.Command("apt-get", "install", "-y", name).CombinedOutput(); err != nil {
		t.Logf("apt-get install %s: %v: %s", name, err, out)
	}
}

// paste gives a shell the blocks of a text twice, in an empty folder that stands for the checkout, and requires that no
// command of them fails.
func paste(t *testing.T, shell []string, file string) {
	t.Helper()
	tool(t, shell[0], "apt-get install "+shell[0])
	tool(t, "curl", "apt-get install curl")
	dir := shortDir(t)
	maker := "#!/bin/sh\n" + `[ "$*" = build ] && mkdir -p bin && ln -sf "$DDGOOSE_BUILT" bin/ddgoose` + "\n" // the build is tested elsewhere
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tools"), 0o755))
	apitest.WriteExecutable(t, filepath.Join(dir, "tools", "make"), maker)

	text := strings.Join(blocks(t, file, "bash"), "")
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], shell[1:]...)
	cmd.WaitDelay = time.Second // what it started has its output, too
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader("set -e\n"+text+text+"echo all' 'of' 'it; exit\n"), &out, &out
	path := filepath.Join(dir, "tools") + ":" + filepath.Dir(binary(t)) + ":" + os.Getenv("PATH")
	cmd.Env = append(os.Environ(), "DDGOOSE_BUILT="+binary(t), "PATH="+path, "XDG_RUNTIME_DIR="+dir, "TERM=dumb")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interactive shell takes the terminal, if there is one
	err := cmd.Run()
	_ = exec.Command("pkill", "-KILL", "-s", fmt.Sprint(cmd.Process.Pid)).Run() // what a shell that failed has left
	require.NoError(t, err, "%s", &out)
	require.Contains(t, out.String(), "all of it", "%s", &out)                     // bash shows what is pasted, too
	require.NotRegexp(t, "parse error|syntax error|event not found", out.String()) // by none of these a shell ends
}

// TestProcessesOfTheReadme pastes the README into both shells.
func TestProcessesOfTheReadme(t *testing.T) {
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paste(t, shell, "README.md")
		})
	}
}

// TestHandbooksCanBePasted does the same with the longer texts.
func TestHandbooksCanBePasted(t *testing.T) {
	extra(t)
	for name, shell := range shells(t) {
		for _, file := range []string{"cmd/ddgoose/README.md", "netem/README.md"} {
			t.Run(name+" "+file, func(t *testing.T) {
				t.Parallel()
				paste(t, shell, file)
			})
		}
	}
}

// TestProcessesOfTheReadmesProgram builds the README's program as a command of this module, and runs it.
func TestProcessesOfTheReadmesProgram(t *testing.T) {
	programs := blocks(t, "README.md", "go")
	require.Len(t, programs, 1)
	dir := t.TempDir()
	at, err := filepath.Abs(filepath.Join(root, "hello", "main.go"))
	require.NoError(t, err)
	source, overlay, hello := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "hello")
	require.NoError(t, os.WriteFile(source, []byte(programs[0]), 0o600))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{at: source}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, text, 0o600))
	build := exec.Command("go", "build", "-overlay", overlay, "-o", hello, "./hello")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	cmd := exec.Command(hello)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "XDG_RUNTIME_DIR="+shortDir(t))
	said, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "this process is the goose, token 1\n", line)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// TestReadmeOnThreeServers follows the README on three machines made of namespaces, up to a job that cron starts.
func TestReadmeOnThreeServers(t *testing.T) {
	extra(t)
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: it needs root for namespaces")
	}
	for name, pkg := range map[string]string{"cron": "cron", "ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(name); err != nil {
			aptInstall(t, pkg)
		}
		tool(t, name, "apt-get install "+pkg)
	}
	machines, err := filepath.Abs("testdata/machines.sh")
	require.NoError(t, err)
	for name, shell := range shells(t) {
		for user, script := range map[string]string{"root": asRoot(t, shell), "a user": asUser(t)} {
			t.Run(name+", "+user, func(t *testing.T) {
				t.Parallel()
				tool(t, shell[0], "apt-get install "+shell[0])
				dir := shortDir(t)
				require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
				require.NoError(t, os.Symlink(binary(t), filepath.Join(dir, "bin", "ddgoose")))
				deploy, err := filepath.Abs("..")
				require.NoError(t, err)
				require.NoError(t, os.Mkdir(filepath.Join(dir, "cmd"), 0o755))
				require.NoError(t, os.Symlink(deploy, filepath.Join(dir, "cmd", "ddgoose")))
				admin := "set -e\nexport PATH=$PWD/bin:$PATH\n" + strings.Join(blocks(t, "README.md", "bash admin"), "")
				require.NoError(t, os.WriteFile(filepath.Join(dir, "admin"), []byte(admin+admin+"exit\n"), 0o600))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o600))

				ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
				defer cancel()
				cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
					"bash", machines, "bash", "-c", `set -e; "$@" < admin; . ./script`, "-")
				cmd.Args = append(cmd.Args, shell...)
				cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Contains(t, string(out), "\nit ran on one of three\n", "%s", out)
			})
		}
	}
}

// ran waits for a minute of cron to bring a file on one machine, and requires it on no other.
const ran = `
ran() {
  for try in $(seq 150); do
    found=
    for host in 10.0.0.1 10.0.0.2 10.0.0.3; do
      if ssh "$host" test -s "$1"; then found="$found $host"; fi
    done
    if [ -n "$found" ]; then break; fi
    sleep 1
  done
  if [ "$(echo $found | wc -w)" != 1 ]; then echo "it ran on: $found"; exit 1; fi
  echo
  echo "it ran on one of three"
}
`

// asRoot pastes what the README says of servers, twice on each; then a clock of cron's own strikes.
func asRoot(t *testing.T, shell []string) string {
	script := ran + "trap '[ $? = 0 ] || for host in 10.0.0.1 10.0.0.2 10.0.0.3; do ssh $host cat /run/ddgoose.log; done' EXIT\n"
	for i, block := range append(blocks(t, "README.md", "bash server"), "cron\n") {
		text := "set -e\n" + block
		if block != "cron\n" {
			text += block
		}
		script += fmt.Sprintf("cat > block%d <<'BLOCK'\n%sexit\nBLOCK\n", i, text)
		script += fmt.Sprintf("for host in 10.0.0.1 10.0.0.2 10.0.0.3; do ssh root@$host %s < block%d; done\n", strings.Join(shell, " "), i)
	}
	script += "ssh 10.0.0.1 'setpriv --reuid 65534 --regid 65534 --clear-groups ddgoose status 2>&1 | grep sudo'\n"
	return script + "ran /var/log/job\n"
}

// asUser does what the README says of machines without root, all of it by cron.
func asUser(t *testing.T) string {
	script := ran + "for host in 10.0.0.1 10.0.0.2 10.0.0.3; do\n"
	script += "  ssh $host 'useradd --create-home user; mv ddgoose ddgoose.key /home/user; chown -R user: /home/user'\n"
	script += "  ssh $host 'cat > crontab; crontab -u user crontab; cron' <<'END'\n" + strings.Join(blocks(t, "cmd/ddgoose/README.md", "crontab"), "") + "END\n"
	return script + "done\nran /home/user/job.log\n"
}
