package deploy

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api/apitest"
)

// makeOnce returns a folder that fill has filled, for this test or for one before. It goes with the binary's.
func makeOnce(t *testing.T, what string, fill func(dir string)) (dir string) {
	t.Helper()
	dir = filepath.Join(filepath.Dir(binary(t)), what)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	require.NoError(t, os.Mkdir(dir, 0o755))
	whole := false
	defer func() {
		if !whole { // it failed, or was skipped
			_ = os.RemoveAll(dir)
		}
	}()
	fill(dir)
	whole = true
	return dir
}

// makePackages runs make dist for this machine's architecture alone.
func makePackages(t *testing.T, version string) (dist string) {
	t.Helper()
	extra(t)
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the packages are for Linux, and GNU tar makes the image")
	}
	return makeOnce(t, "dist-"+version, func(dist string) {
		makeOurs(t, "dist", dist, "VERSION="+version, "PLATFORMS=linux/"+runtime.GOARCH, "PACKAGED="+runtime.GOARCH)
	})
}

// changedRoot is this machine's root folder for programs that may change all of it: what they write goes elsewhere.
func changedRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may install packages")
	}
	mount := tool(t, "mount", "apt-get install mount")
	dir := shortDir(t)
	for _, name := range []string{"upper", "work", "root"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	root := filepath.Join(dir, "root")
	if _, stderr, code := run(t, mount, "-t", "overlay", "overlay", "-o",
		"lowerdir=/,upperdir="+filepath.Join(dir, "upper")+",workdir="+filepath.Join(dir, "work"), root); code != 0 {
		t.Skipf("SKIPPED: no root folder can be laid over this one: %s", stderr)
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", root).CombinedOutput() // the test's context is over
		require.NoError(t, err, "%s", out)
	})
	return root
}

// changed is a changedRoot in which systemctl writes down what it is asked.
type changed struct {
	t    *testing.T
	root string
}

func changedSystem(t *testing.T) changed {
	t.Helper()
	c := changed{t, changedRoot(t)}
	require.NoError(t, os.MkdirAll(c.at("run/systemd/system"), 0o755))
	c.write("usr/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/asked\n", 0o755)
	return c
}

func (c changed) at(path string) string { return filepath.Join(c.root, path) }

func (c changed) write(path, text string, mode os.FileMode) {
	c.t.Helper()
	require.NoError(c.t, os.MkdirAll(filepath.Dir(c.at(path)), 0o755))
	require.NoError(c.t, os.WriteFile(c.at(path), []byte(text), mode))
}

func (c changed) inside(command ...string) string {
	c.t.Helper()
	stdout, stderr, code := run(c.t, "chroot", append([]string{c.root}, command...)...)
	require.Zero(c.t, code, "%q: %s%s", command, stdout, stderr)
	return stdout
}

// asked returns what systemctl was asked since the last time.
func (c changed) asked() string {
	c.t.Helper()
	text := read(c.t, c.at("asked"))
	require.NoError(c.t, os.Remove(c.at("asked")))
	return text
}

// TestPackagesAreInstalledUpgradedAndRemoved watches what the packages ask of systemd:
// nothing is started that did not run, and what the agent wrote stays.
func TestPackagesAreInstalledUpgradedAndRemoved(t *testing.T) {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	for _, kind := range []struct {
		tool, older, newer, completions string
		install                         []string
		remove                          [][]string
	}{
		{
			tool:  "dpkg",
			older: "ddgoose_1.2.3_" + runtime.GOARCH + ".deb", newer: "ddgoose_1.2.4+5_" + runtime.GOARCH + ".deb", completions: "vendor-completions",
			install: []string{"dpkg", "--install", "/package"}, remove: [][]string{{"dpkg", "--remove", "ddgoose"}, {"dpkg", "--purge", "ddgoose"}},
		},
		{ // what Debian has is not in RPM's database
			tool:  "rpm",
			older: "ddgoose-1.2.3-1." + arch + ".rpm", newer: "ddgoose-1.2.4+5-1." + arch + ".rpm", completions: "site-functions",
			install: []string{"rpm", "--upgrade", "--nodeps", "/package"}, remove: [][]string{{"rpm", "--erase", "ddgoose"}},
		},
	} {
		t.Run(kind.tool, func(t *testing.T) {
			extra(t)
			apitest.Program(t, kind.tool, kind.tool) // its Debian package has the same name
			tool(t, "systemd-sysusers", "apt-get install systemd")
			older, newer := makePackages(t, "v1.2.3"), makePackages(t, "v1.2.4-5-gabcdef")
			c := changedSystem(t)
			install := func(file string) {
				t.Helper()
				c.write("package", read(t, file), 0o600)
				c.inside(kind.install...)
			}
			install(filepath.Join(older, kind.older))
			require.Equal(t, "daemon-reload\ntry-restart ddgoose.service\n", c.asked())
			require.NoFileExists(t, c.at("etc/systemd/system/multi-user.target.wants/ddgoose.service"))
			require.Contains(t, c.inside("/usr/bin/ddgoose", "version"), "v1.2.3")
			require.Contains(t, c.inside("getent", "passwd", "ddgoose"), "DuckDuckGoose agent")
			require.Contains(t, read(t, c.at("usr/lib/systemd/system/ddgoose.service")), "\nExecStart=/usr/bin/ddgoose agent ")
			for _, file := range []string{"man/man1/ddgoose-agent.1.gz", "doc/ddgoose/ddgoose.yaml", "zsh/" + kind.completions + "/_ddgoose"} {
				require.FileExists(t, c.at("usr/share/"+file))
			}

			c.write("etc/ddgoose/ddgoose.yaml", "expect: 1\n", 0o640)
			c.write("var/lib/ddgoose/one/state", "all it knows", 0o600)
			install(filepath.Join(newer, kind.newer))
			asked := c.asked()
			require.Contains(t, asked, "try-restart")
			require.NotContains(t, asked, "disable")
			require.Contains(t, c.inside("/usr/bin/ddgoose", "version"), "v1.2.4-5-gabcdef")

			for i, command := range kind.remove {
				c.inside(command...)
				if i == 0 {
					require.Equal(t, "disable --now ddgoose.service\ndaemon-reload\n", c.asked())
				}
			}
			require.NoFileExists(t, c.at("usr/bin/ddgoose"))
			require.Equal(t, "expect: 1\n", read(t, c.at("etc/ddgoose/ddgoose.yaml")))
			require.Equal(t, "all it knows", read(t, c.at("var/lib/ddgoose/one/state")))
		})
	}
}

// TestAlpinePackageHoldsWhatDebiansDoes compares the two file by file. Debian has no apk to install it with.
func TestAlpinePackageHoldsWhatDebiansDoes(t *testing.T) {
	tool(t, "dpkg-deb", "a Debian system is needed")
	dist, dir := makePackages(t, "v1.2.3"), t.TempDir()
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	_, stderr, code := run(t, "sh", "-ec", `mkdir "$3/apk" "$3/deb"
		tar -xzf "$1" -C "$3/apk" --warning=no-unknown-keyword
		dpkg-deb --extract "$2" "$3/deb"
		mkdir "$3/control"; mv "$3/apk/.PKGINFO" "$3/apk/.post-install" "$3/control"
		rm -r "$3/deb/usr/share/zsh/vendor-completions"
		diff -r "$3/deb" "$3/apk"`, "sh",
		filepath.Join(dist, "ddgoose_1.2.3_"+arch+".apk"), filepath.Join(dist, "ddgoose_1.2.3_"+runtime.GOARCH+".deb"), dir)
	require.Zero(t, code, stderr)
	about := read(t, filepath.Join(dir, "control", ".PKGINFO"))
	require.Contains(t, about, "pkgname = ddgoose\n")
	require.Contains(t, about, "pkgver = 1.2.3\n")
	require.Equal(t, read(t, "package/postinstall.sh"), read(t, filepath.Join(dir, "control", ".post-install")))
	t.Run("installed", func(t *testing.T) {
		tool(t, "apk", "an Alpine system is needed; the package is only unpacked here")
	})
}

// described is what the parts of an image archive say of each other.
type described struct {
	Digest    string
	Size      int
	Manifests []described
	Config    *described
	Layers    []described
}

func TestImageArchiveIsWhole(t *testing.T) {
	dist := makePackages(t, "v1.2.3")
	archive, err := os.Open(filepath.Join(dist, "ddgoose-v1.2.3-oci.tar"))
	require.NoError(t, err)
	defer archive.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		files[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
	blobs := 0
	var look func(d described)
	follow := func(d *described) []byte {
		blob := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		require.Len(t, blob, d.Size)
		sum := sha256.Sum256(blob)
		require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), d.Digest)
		blobs++
		return blob
	}
	look = func(d described) {
		for _, m := range d.Manifests {
			var next described
			require.NoError(t, json.Unmarshal(follow(&m), &next))
			look(next)
		}
		if d.Config != nil {
			require.Contains(t, string(follow(d.Config)), `"architecture":"`+runtime.GOARCH+`"`)
		}
		for i := range d.Layers {
			require.True(t, bytes.HasPrefix(follow(&d.Layers[i]), []byte{0x1f, 0x8b}), "gzip")
		}
	}
	var index described
	require.NoError(t, json.Unmarshal(files["index.json"], &index))
	look(index)
	require.Equal(t, 4, blobs, "an index, a manifest, a config and a layer")

	podman := tool(t, "podman", "apt-get install podman")
	stdout, stderr, code := run(t, podman, "load", "--input", archive.Name())
	if code != 0 {
		t.Skipf("SKIPPED: Podman loads no image here: %s", stderr)
	}
	image := strings.TrimSpace(stdout[strings.LastIndex(stdout, " ")+1:])
	defer run(t, podman, "image", "rm", image)
	stdout, stderr, code = run(t, podman, "image", "inspect", "--format", "{{.Architecture}} {{.User}} {{.Config.Entrypoint}}", image)
	require.Zero(t, code, stderr)
	require.Equal(t, runtime.GOARCH+" 65532:65532 [/usr/bin/ddgoose]\n", stdout)
}
